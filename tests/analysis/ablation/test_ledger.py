"""Claims that were judged on the same examples are counted across the ablations of a database."""

from __future__ import annotations

from datetime import UTC, datetime

from analysis.ablation.ledger import Judged, earlier_claims, judged, ledger_sentence
from tests.analysis.made_evidence import TEXT, spec_of

TEST_SET = {"trained_with": {"data": {"train": "t", "val": "v", "test": "abc"}}}


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


def test_claims_are_contrasts_times_designs_on_the_split_of_the_primary_metric() -> None:
    spec = spec_of(f"{TEXT}retune: {{runs: 3, over: [optimizer.lr]}}\n")
    assert judged(spec, day(1), TEST_SET) == Judged("toy", day(1), 2, "abc")
    on_val = spec_of(TEXT.replace("test/nll", "val/nll"))
    assert judged(on_val, day(1), TEST_SET).examples == "v"
    assert judged(spec, day(1), {"python": "3.11"}).examples is None


def test_this_is_the_seventh_claim_on_this_test_set() -> None:
    own = Judged("own", day(9), 1, "abc")
    others = [
        Judged("later", day(10), 5, "abc"),
        Judged("second", day(3), 2, "abc"),
        Judged("first", day(2), 4, "abc"),
        Judged("elsewhere", day(1), 9, "xyz"),
        Judged("unknown", day(1), 9, None),
    ]
    earlier = earlier_claims(own, others)
    assert [one.name for one in earlier] == ["first", "second"]
    sentence = ledger_sentence(own, earlier, "test")
    assert "makes claim 7 on this test set" in sentence
    assert "after 6 claims of earlier ones (first 4, second 2)" in sentence


def test_without_earlier_claims_or_without_a_digest() -> None:
    own = Judged("own", day(9), 3, "abc")
    assert "makes claims 1 to 3 on this test set" in ledger_sentence(own, (), "test")
    unknown = Judged("own", day(9), 3, None)
    assert earlier_claims(unknown, [Judged("other", day(1), 1, None)]) == ()
    assert "have no digest" in ledger_sentence(unknown, (), "test")
