"""Free answers to computed questions, and what a careful reader says of each: right, wrong, or that it says nothing.

Who states two values where one is asked for, hedges, or refuses has said nothing that could be right or wrong.
"""

from typing import Any, get_args

import pytest

from seedtune.evaluate.exact import score_exact
from seedtune.records import ExactItem
from seedtune.records.items import AnswerKind

INPUT = (
    "BGP4MP|1700000000|A|100.64.1.2|64500|10.1.0.0/20|64500 64501 64502|IGP|100.64.1.2|0|0|64500:100|NAG||\n"
    "BGP4MP|1700000007|W|100.64.1.2|64500|10.2.0.0/16"
)


def ask(question: str, kind: str, answer: str, **more: Any) -> ExactItem:
    return ExactItem.model_validate(
        {"question": question, "input": INPUT, "answer": answer, "kind": kind, "family": "f", **more}
    )


COUNT = "How many withdrawals did peer AS 64500 send?"
STATE = {"options": ("valid", "invalid", "not-found")}

TABLE: dict[str, tuple[ExactItem, dict[str, list[str]]]] = {
    "origin": (
        ask("Which AS originates 10.1.0.0/20? Answer with the AS number alone.", "asn", "64502"),
        {
            "right": [
                "AS64502.",
                "ASN 64502",
                "AS-64502",
                "AS#64502",
                "AS: 64502",
                "AS64,502",
                "It's AS 64502!",
                "The origin of 10.1.0.0/20 is AS64502.",
                "10.1.0.0/20 is originated by AS64502, which AS64501 passes on.",
                "The AS path is 64500 64501 64502, so the origin is 64502.",
                "64502 (the last AS of 64500 64501 64502)",
                "64502, not 64501",
                "AS64501 is not the origin, AS64502 is.",
                "AS64501 isn't the origin. AS64502 is.",
                "AS64501 does not originate it; AS64502 does.",
                "The origin AS of 10.1.0.0/20 is 64502, reached via 64501.",
                "1. AS64502",
                "AS64502 and nobody else",
            ],
            "wrong": [
                "64501",
                "AS64501 is the origin.",
                "AS64502 is not the origin, AS64501 is.",
                "AS64502 does not originate it, AS64501 does.",
                "It is AS64501 rather than AS64502.",
                "645020",
                "AS6450",
                "-1",
            ],
            "nothing": [
                "AS64502 or AS64501",
                "AS64502, AS64501",
                "64501 and AS64502",
                "Not AS64502.",
                "AS64502 is not the origin.",
                "Either AS64502 or none",
                "64500 64501 64502",
                "The origin AS cannot be seen.",
                "I do not know.",
            ],
        },
    ),
    "set": (
        ask("Which ASes are in the AS_SET of 10.0.0.0/8?", "asns", "64500, 64501"),
        {
            "right": [
                "10.0.0.0/8 is originated by AS64500 and AS64501.",
                "The AS_SET of 10.0.0.0/8 is {64500,64501}.",
                "1. AS64500\n2. AS64501",
                "1) 64501\n2) 64500",
                "1. 64500\n2. 64501",
                "* AS64500\n* AS64501",
                "There are 2 ASes: 64500 and 64501.",
                "There are 2 ASes: AS64500 and AS64501.",
                "Two: AS64500, AS64501",
                "2: AS64500, AS64501",
                "AS64500/AS64501",
                "64500/64501",
                "64501 & 64500",
                "AS64500, 64501",
                "64500 and AS64501",
                "[64500, 64501]",
                "The set holds AS64500 and AS64501, but not AS64502.",
                "2001:db8::/32 has no set; that of 10.0.0.0/8 holds AS64500 and AS64501.",
            ],
            "wrong": [
                "8, 64500, 64501",
                "AS64500",
                "64500, 64501, 64502",
                "AS64500, AS64501 and AS64502",
                "AS64500, 64501, 64502",
                "AS64500 is in the set, AS64501 is not.",
                "All of 64500, 64501 except 64501",
                "None.",
                "1. AS64500\n2. AS64502",
            ],
            "nothing": [
                "64500, 64501, ...",
                "AS64500, AS64501 and others",
                "There is no data.",
                "10.0.0.0/8",
                "Several ASes.",
                "I cannot tell.",
            ],
        },
    ),
    "upstreams": (
        ask("Which ASes stand directly before AS 64999 in these paths?", "asns", "64500"),
        {
            "right": ["AS64999 is reached through AS64500.", "Before AS64999 stands only AS64500.", "1. AS64500"],
            "wrong": ["64999, 64500", "AS64999 is reached through AS64500 and AS64501.", "AS64999 and AS64500"],
            "nothing": ["AS64500 is not before it.", "No idea."],
        },
    ),
    "no members": (
        ask("Which ASes prepend themselves?", "asns", "none"),
        {
            "right": ["None.", "There are none.", "No AS prepends itself.", "none of them", "No ASes.", "nobody"],
            "wrong": ["AS64500", "none but AS64500"],
            "nothing": ["No idea.", "No data was provided.", "None of your business", "No information is given."],
        },
    ),
    "count": (
        ask(COUNT, "integer", "3"),
        {
            "right": [
                "Three.",
                "There are three.",
                "There are three withdrawals.",
                "AS64500 sent three withdrawals.",
                "AS 64500 sent 3 withdrawals.",
                "3x",
                "3 times",
                "Three (3)",
                "3 of 7",
                "3 out of the 7 updates",
                "Three of the 7 updates.",
                "There are 3 prefixes: 10.0.0.0/8, 10.1.0.0/16, 10.2.0.0/16",
                "1 + 2 = 3",
                "The path 64500 64501 64502 has length 3.",
                "3 hops: 64500 64501 64502",
                "It is not 4, it is 3.",
                "4 is not right, it is 3.",
                "There are three, one of them of 10.2.0.0/16.",
                "exactly 3",
                "No more and no less: 3",
                "3, no others.",
                "3 were sent, and no announcements.",
            ],
            "wrong": [
                "4",
                "Four.",
                "-3",
                "13",
                "3.5 or so: 4",
                "None.",
                "It sent no withdrawals.",
                "There is one.",
                "thirty",
            ],
            "nothing": [
                "at least 3",
                "At most three.",
                "more than 3",
                "fewer than **3**",
                "about 3",
                "approximately 3",
                "~3",
                "3 or more",
                "3+",
                "3 or so",
                "up to 3",
                "between 2 and 3",
                "2-3",
                "3 or 4",
                "not 3",
                "3 is not right.",
                "It has a /3.",
                "AS3",
                "no longer known",
                "1, 2, 3, 4, 5",
            ],
        },
    ),
    "zero": (
        ask(COUNT, "integer", "0"),
        {
            "right": [
                "zero",
                "Zero.",
                "none",
                "None.",
                "No withdrawals.",
                "There are none.",
                "It sent no withdrawals.",
                "There were no such lines.",
                "AS 64500 sent none.",
                "None of the lines is.",
                "The answer is none.",
            ],
            "wrong": ["one", "1", "There is one.", "no fewer and no more, but 2"],
            "nothing": [
                "No data was provided.",
                "No idea.",
                "no clue",
                "No comment.",
                "None of your business",
                "No table is given.",
                "No further information.",
                "There is no way to tell.",
                "I cannot tell, no lines are shown.",
                "not 0",
                "at least 0",
            ],
        },
    ),
    "negative": (
        ask("What is 9 - 13?", "integer", "-4"),
        {
            "right": ["-4", "−4", "minus 4", "negative 4", "The answer is −4.", "9 − 13 = −4", "9 minus 13 = -4"],
            "wrong": ["4", "13 - 9 = 4"],
            "nothing": ["-4%"],
        },
    ),
    "part": (
        ask("What is 10 percent of 350?", "number", "35"),
        {"right": ["35", "10% of 350 is 35", "0.1 x 350 = 35"], "wrong": ["-35", "minus 35"], "nothing": ["35%"]},
    ),
    "percentage": (
        ask("18 is which percentage of 72?", "number", "25"),
        {"right": ["25", "25%", "25 percent", "It is 25 per cent."], "wrong": ["-25%"], "nothing": ["about 25%"]},
    ),
    "decimal": (
        ask("What is 5 divided by 2?", "number", "2.5"),
        {
            "right": ["2.50", "5 / 2 = 2.5", "It is 2.5.", "exactly **2.5**"],
            "wrong": ["2", "25", "2.05"],
            "nothing": ["about 2.5", "2.5 or 2.6", "more than 2.5"],
        },
    ),
    "path": (
        ask("Write the AS path of 10.1.0.0/20 with every AS once.", "path", "64500 64501 64502"),
        {
            "right": [
                "64500 → 64501 → 64502",
                "64500 => 64501 => 64502",
                "64500 > 64501 > 64502",
                "AS64500, AS64501, AS64502",
                "64500 and then 64501 and then 64502",
                "64500; 64501; 64502",
                "1. 64500\n2. 64501\n3. 64502",
                "The path to 10.1.0.0/20 is 64500 64501 64502.",
                "`64500 64501 64502`",
            ],
            "wrong": ["64502 64501 64500", "64500 64501", "64500 64500 64501 64502", "The path is 64500 64502."],
            "nothing": ["not 64500 64501 64502", "64500 64501 64502 or 64500 64502", "It is short.", ""],
        },
    ),
    "prefix": (
        ask("Which prefix flapped?", "prefix", "10.1.0.0/20"),
        {
            "right": [
                "10.1.0.0/20.",
                "The prefix 10.1.0.0/20 flapped.",
                "10.1.0.0/20 (inside 10.0.0.0/8)",
                "It is 10.1.0.0/20, a part of 10.0.0.0/8.",
                "10.1.0.0/20, since 10.2.0.0/16 stays",
                "10.2.0.0/16 is not it, 10.1.0.0/20 is.",
                "10.1.0.0/20 was withdrawn at 1700000000 and announced again at 1700000005 by AS64500.",
            ],
            "wrong": ["10.1.0.0/21", "10.2.0.0/16", "10.1.0.0/20 did not flap, 10.2.0.0/16 did."],
            "nothing": [
                "10.1.0.0/20 or 10.2.0.0/16",
                "not 10.1.0.0/20",
                "10.1.0.0",
                "No prefix.",
                "10.1.0.0/20 does not flap.",
            ],
        },
    ),
    "prefixes": (
        ask("Which prefixes flapped?", "prefixes", "10.1.0.0/20, 2001:db8::/32"),
        {
            "right": ["2001:DB8::/32 and 10.1.0.0/20", "1. 10.1.0.0/20\n2. 2001:db8::/32", "10.1.0.0/20 2001:db8::/32"],
            "wrong": ["10.1.0.0/20", "none", "10.1.0.0/20, 2001:db8::/32, 10.2.0.0/16"],
            "nothing": ["10.1.0.0/20, 2001:db8::/32, etc.", "No details are given."],
        },
    ),
    "address": (
        ask("Name the next hop for 10.1.0.0/20.", "address", "100.64.1.2"),
        {
            "right": ["via 100.64.1.2", "The next hop for 10.1.0.0/20 is 100.64.1.2.", "Next hop: `100.64.1.2`"],
            "wrong": ["100.64.1.20", "100.64.1.2 is not the next hop, 100.64.1.3 is."],
            "nothing": ["100.64.1.2 or 100.64.1.3", "100.64.1.2 is not the next hop.", "never 100.64.1.2"],
        },
    ),
    "time": (
        ask("When was 10.1.0.0/20 first announced?", "time", "2023-11-14 22:13:20"),
        {
            "right": [
                "2023-11-14T22:13:20Z",
                "2023-11-14 22:13:20+00:00",
                "2023-11-14 23:13:20+01:00",
                "1700000000 (2023-11-14 22:13:20)",
                "At 2023-11-14 22:13:20 UTC by AS64500.",
            ],
            "wrong": ["2023-11-14 22:13:21", "2023-11-14 22:13:20+02:00", "1700000007"],
            "nothing": ["before 2023-11-14 22:13:20", "after 1700000000", "22:13:20", "about 1700000000"],
        },
    ),
    "yes": (
        ask("Is 10.1.0.0/20 a MOAS prefix here?", "yes_no", "yes"),
        {
            "right": [
                "Yes. No AS on the path leaked the route.",
                "Yes. No single AS originates it.",
                "Yes, it is. No other prefix is.",
                "Yes - no AS breaks a rule.",
                "Yes, no AS keeps it to itself.",
                "Yes, two ASes originate it.\nNo single origin exists.",
                "Yes\n\nExplanation:\nNo withdrawal follows the last announcement.",
                "The prefix is a MOAS, so yes.",
                "It is: yes",
                "Yep.",
                "I looked at the paths. Yes, it is.",
                "True.",
            ],
            "wrong": [
                "No. It has one origin.",
                "No",
                "Nope.",
                "Yes? No.",
                "No, it has one origin. True, there are two peers.",
            ],
            "nothing": [
                "Yes. No.",
                "Yes, no",
                "yes and no",
                "yes/no",
                "yes no yes no",
                "I would not say yes",
                "Yes, it is. No, it is not.",
                "maybe",
            ],
        },
    ),
    "no": (
        ask("Is 10.1.0.0/20 a MOAS prefix here?", "yes_no", "no"),
        {
            "right": [
                "No. All routes end in the same AS.",
                "No, only one AS originates it.",
                "No – one origin.",
                "No it is not.",
                "No, AS 64500 withdrew it. Yes means something else",
                "No longer.",
                "**No**",
                "No! No other AS originates it.",
                "The answer is no because one AS originates it.",
            ],
            "wrong": ["Yes. No other AS originates it.", "Yes."],
            "nothing": [
                "No data was provided.",
                "No clue.",
                "No problem, let me look",
                "No problem, let me look at the data.",
                "No comment",
                "No one can tell.",
                "No further information is given.",
                "No, wait: yes.",
                "No\nYes",
                "No? Yes?",
                "There is no prefix.",
            ],
        },
    ),
    "invalid": (
        ask("10.1.0.0/20 and the VRPs: valid, invalid or not-found?", "word", "invalid", **STATE),
        {
            "right": [
                "RPKI-invalid",
                "The route to 10.1.0.0/20 is RPKI-invalid.",
                "RPKI Invalid.",
                "It is not valid, it is invalid.",
                "invalid, not valid",
                "Invalid: no VRP has AS 64500.",
                "The route is no longer valid, it is invalid.",
            ],
            "wrong": ["valid", "RPKI-valid", "It is not-found, not invalid.", "not invalid but valid"],
            "nothing": ["not invalid", "not RPKI-invalid", "valid or invalid", "valid, invalid or not-found", "bad"],
        },
    ),
    "valid": (
        ask("10.1.0.0/20 and the VRPs: valid, invalid or not-found?", "word", "valid", **STATE),
        {
            "right": [
                "RPKI-valid",
                "The route is valid.",
                "Valid: a VRP covers it; nothing is invalid",
                "valid (not invalid)",
            ],
            "wrong": ["invalid", "Not found", "NotFound."],
            "nothing": [
                "no longer valid",
                "not valid",
                "isn't valid",
                "not a valid route",
                "not really valid",
                "hardly valid",
                "never RPKI-valid",
                "valid is not the state",
                "neither valid nor invalid",
            ],
        },
    ),
}

CASES = [
    pytest.param(item, text, verdict, id=f"{name}-{verdict}-{text[:40]}")
    for name, (item, verdicts) in TABLE.items()
    for verdict, texts in verdicts.items()
    for text in texts
]


def test_the_table_is_large_and_knows_every_kind() -> None:
    assert len(CASES) >= 150
    assert {item.kind for item, _ in TABLE.values()} >= set(get_args(AnswerKind)) - {"addresses"}


@pytest.mark.parametrize(("item", "text", "verdict"), CASES)
def test_an_answer_is_read_as_a_careful_reader_reads_it(item: ExactItem, text: str, verdict: str) -> None:
    score = score_exact(text, item)
    said = "right" if score.correct else "wrong" if score.parsed else "nothing"
    assert said == verdict, score
