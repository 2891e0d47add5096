"""TensorBoard's event files: records with checksums around messages of Protocol Buffers.

The framing and the schema are a few lines and have not changed since 2015. The packages that write these files import
TensorFlow or torch, and ``tensorboard`` brings a web server; protobuf and google-crc32c are enough to read them.
"""

import math
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import google_crc32c
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError

LONGEST_RECORD: Final = 64 << 20
"""Bytes of a record; the longest ones of real files hold images and graphs."""

_HEADER: Final = 12  # length and its checksum
_FOOTER: Final = 4
# Number in TensorFlow's DataType -> format of one value in tensor_content, and the field that may hold it instead.
_DTYPES: Final = {1: ("<f", "float_val"), 2: ("<d", "double_val"), 3: ("<i", "int_val"), 9: ("<q", "int64_val")}


@dataclass(frozen=True)
class Scalar:
    """One scalar of an event file."""

    step: int
    tag: str
    value: float


class DamagedFileError(ValueError):
    """A record does not fit its checksum or the schema."""


class Records:
    """Collects the pieces of an event file and returns the content of whole records."""

    def __init__(self) -> None:
        self._rest = bytearray()

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Add a piece and yield the records that are whole now.

        Raises:
            DamagedFileError: A checksum is wrong, or a record is too long.
        """
        self._rest += piece
        at = 0
        try:
            while len(self._rest) - at >= _HEADER:
                [length] = struct.unpack_from("<Q", self._rest, at)
                _check(bytes(self._rest[at : at + 8]), self._rest, at + 8)
                if length > LONGEST_RECORD:
                    raise DamagedFileError(f"a record has {length} bytes, more than {LONGEST_RECORD}")
                begin, end = at + _HEADER, at + _HEADER + length
                if len(self._rest) < end + _FOOTER:
                    break
                content = bytes(self._rest[begin:end])
                _check(content, self._rest, end)
                at = end + _FOOTER
                yield content
        finally:
            del self._rest[:at]


def scalars(record: bytes) -> list[Scalar]:
    """Return the scalars of one record, in either of the two forms in which they are written.

    Raises:
        DamagedFileError: The record is no event.
    """
    event = _EVENT()
    try:
        event.ParseFromString(record)
    except DecodeError as error:
        raise DamagedFileError("a record is not an event") from error
    found = []
    for one in event.summary.value:
        value = one.simple_value if one.HasField("simple_value") else _of_tensor(one.tensor)
        if value is not None:
            found.append(Scalar(event.step, one.tag, value))
    return found


def _check(data: bytes, source: bytearray, at: int) -> None:
    crc = google_crc32c.value(data)
    masked = (((crc >> 15) | (crc << 17)) + 0xA282EAD8) & 0xFFFFFFFF
    if struct.unpack_from("<I", source, at)[0] != masked:
        raise DamagedFileError("a checksum is wrong")


def _of_tensor(tensor: Any) -> float | None:
    """Return the number of a tensor with one element, such as TensorFlow 2 writes for a scalar."""
    if tensor.dtype not in _DTYPES or math.prod(dim.size for dim in tensor.tensor_shape.dim) != 1:
        return None
    layout, name = _DTYPES[tensor.dtype]
    if len(tensor.tensor_content) == struct.calcsize(layout):
        return float(struct.unpack(layout, tensor.tensor_content)[0])
    values = getattr(tensor, name)
    return float(values[0]) if len(values) == 1 else None


def _schema() -> Any:
    """Return the class of an event with the fields that scalars need; others are skipped when it is parsed."""
    kinds = descriptor_pb2.FieldDescriptorProto
    fields = {
        "Event": (("step", 2, kinds.TYPE_INT64, ""), ("summary", 5, kinds.TYPE_MESSAGE, "Summary")),
        "Summary": (("value", 1, kinds.TYPE_MESSAGE, "*Value"),),
        "Value": (
            ("tag", 1, kinds.TYPE_STRING, ""),
            ("simple_value", 2, kinds.TYPE_FLOAT, ""),
            ("tensor", 8, kinds.TYPE_MESSAGE, "Tensor"),
        ),
        "Tensor": (
            ("dtype", 1, kinds.TYPE_INT32, ""),
            ("tensor_shape", 2, kinds.TYPE_MESSAGE, "Shape"),
            ("tensor_content", 4, kinds.TYPE_BYTES, ""),
            ("float_val", 5, kinds.TYPE_FLOAT, "*"),
            ("double_val", 6, kinds.TYPE_DOUBLE, "*"),
            ("int_val", 7, kinds.TYPE_INT32, "*"),
            ("int64_val", 10, kinds.TYPE_INT64, "*"),
        ),
        "Shape": (("dim", 2, kinds.TYPE_MESSAGE, "*Dim"),),
        "Dim": (("size", 1, kinds.TYPE_INT64, ""),),
    }
    file = descriptor_pb2.FileDescriptorProto(name="event_file.proto", syntax="proto2")
    for message, members in fields.items():
        described = file.message_type.add(name=message)
        for name, number, kind, target in members:
            label = kinds.LABEL_REPEATED if target.startswith("*") else kinds.LABEL_OPTIONAL
            described.field.add(name=name, number=number, type=kind, label=label, type_name=target.lstrip("*") or None)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Event"))


_EVENT: Final = _schema()
