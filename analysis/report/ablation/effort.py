"""How much tuning a re-tuned verdict took, as tables and sentences of the section on fair tuning."""

from collections.abc import Sequence

from analysis.ablation.arms.tuning_effort import NEAR, TuningEffort
from analysis.report.blocks import Block, Text, table
from analysis.statistics.best_of_n import Lead
from analysis.wording import NONE, number, or_dash, two_decimals
from search_spaces.values import counted

_HEAD = ("contrast", "tries", "leads from", "95 % interval", "leads in resamples", "better at", "share")
_FIELDS = ("arm", "best score", "with one field changed", "fields that had to change", "tries with only these")
_DEFINITIONS = (
    "An arm leads from n tries on if its expected best of n tries, and of every larger number of tries, is better. The "
    "table has this for the treatment. The interval draws the tries again, by index. The last two columns compare the "
    "arms at the points that both tried, with one seed each; of two arms without a difference, each is better at about "
    "half of the points."
)
_NEEDED = (
    f"A field counts as changed if it is more than {100 * NEAR:.0f} % of its range away from the arm's own recipe. The "
    "fields that had to change are the fewest with which a try came within the margin of the best; fewer might have "
    "sufficed, had more tries been near the recipe."
)


def effort_blocks(efforts: Sequence[TuningEffort]) -> tuple[Block | None, ...]:
    """Return how much tuning the re-tuned verdicts took; nothing if there are none."""
    if not efforts:
        return ()
    fields = {arm: needed for one in efforts for arm, needed in one.fields.items()}
    rows = [
        (
            arm,
            number(needed.best),
            or_dash(needed.one_field, number),
            f"{len(needed.fields)}: {', '.join(needed.fields)}" if needed.fields else "0",
            str(needed.tried),
        )
        for arm, needed in fields.items()
    ]
    return (
        table("How much tuning it took", _HEAD, [_row(one) for one in efforts]),
        Text(" ".join([*(effort_sentence(one) for one in efforts), _DEFINITIONS])),
        table("Fields that had to change, by arm", _FIELDS, rows),
        Text(_NEEDED) if rows else None,
    )


def effort_sentence(one: TuningEffort) -> str:
    """Return from how many tries on which arm leads, and at how many points the treatment is better."""
    control, treatment = one.contrast.simple or ("the control", one.contrast.name)
    lead, shared = one.lead, one.shared
    if lead.tries is not None:
        text = f"{treatment} leads over {control} from {_first(lead.tries)} on (95 % interval {_interval(lead)})"
    elif lead.control_tries is not None:
        text = f"{control} leads over {treatment} from {_first(lead.control_tries)} on"
    else:
        text = f"{treatment} and {control} have equally good best tries"
    if shared.share is None:
        return f"{text}; they share no point."
    places = "" if shared.equal else ", which have the same place in the range of each arm"
    return (
        f"{text}; {treatment} is better at {number(shared.better)} of {counted(shared.points, 'shared point')}{places}."
    )


def _first(tries: int) -> str:
    return "the first try" if tries == 1 else f"{tries} tries"


def _row(one: TuningEffort) -> tuple[str, ...]:
    lead, shared = one.lead, one.shared
    share = NONE
    if shared.share is not None:
        share = f"{shared.better / shared.points:.2f} {two_decimals(shared.share)}"
    return (
        one.contrast.name,
        str(lead.total),
        _tries(lead.tries, lead.total),
        _interval(lead),
        f"{100 * lead.share:.0f} %",
        f"{number(shared.better)} of {shared.points}",
        share,
    )


def _interval(lead: Lead) -> str:
    low, high = (_tries(end, lead.total) for end in (lead.low, lead.high))
    return low if low == high else f"{low} to {high}"


def _tries(count: int | None, total: int) -> str:
    return f"more than {total}" if count is None else str(count)
