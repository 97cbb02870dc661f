"""How the questions are asked.

A wording is a template: ``[a|b]`` is either of both, ``{prefix}`` what the case names. Each family has wordings that
every split uses and wordings that train never sees: who has learned a sentence, and not to read, fails on those.
"""

import re
from collections.abc import Iterator
from functools import cache
from itertools import product

from seedtune.records.items import AnswerKind

SHARED: dict[str, tuple[str, ...]] = {
    "origin_as": (
        "[Which|What] AS [originates|is the origin of] {prefix}?",
        "[Name|Give] the origin AS of {prefix}.",
        "[Who|Which AS] is the origin of the route to {prefix}?",
    ),
    "upstream": (
        "[Which|What] AS stands [directly|right] before the origin in the path to {prefix}?",
        "[Name|Give] the neighbor [through which|by which] the origin of {prefix} is reached.",
        "[Which|What] AS is next to the origin in the path to {prefix}?",
    ),
    "upstreams": (
        "[Which|What] ASes stand [directly|right] before AS {asn} in these paths?",
        "[Name|List|Give] all ASes that are directly left of AS {asn} in the AS paths.",
        "Through [which|what] neighbors is AS {asn} reached here?",
    ),
    "path_length": (
        "How long is the AS path [of the route to|to] {prefix}, counting prepends, and an AS_SET as one?",
        "[Give|State] the AS path length of {prefix} [as best-path selection counts it|that best-path selection uses].",
        "[What|Which] AS path length does route selection see for {prefix}?",
    ),
    "unique_hops": (
        "How many ASes does the path to {prefix} have [without prepending|not counting repeats]?",
        "[Count|Give the number of] the AS hops to {prefix}, [each AS once|without prepends].",
        "How many different ASes [are in|make up] the path to {prefix}?",
    ),
    "prepender": (
        "[Which|What] AS prepends [itself|its own number] in the path to {prefix}?",
        "[Name|Give] the AS that stands several times in a row in the path of {prefix}.",
        "[Who|Which AS] has prepended the route to {prefix}?",
    ),
    "prepend_count": (
        "How many extra times does AS {asn} [appear|occur] in the path to {prefix}?",
        "[How many|What number of] prepends did AS {asn} add to the path of {prefix}?",
        "[Count|Give the number of] the extra copies of AS {asn} in the AS path of {prefix}.",
    ),
    "clean_path": (
        "[Give|Write] the AS path of {prefix} [without prepending|with every AS once].",
        "What is the path to {prefix} [once prepends are removed|without repeated ASes]?",
        "[Remove|Take out] the prepends from the AS path of {prefix}.",
        "Which ASes does the path to {prefix} pass through, [in order|in that order], without repeats?",
    ),
    "as_set": (
        "[Which|What] ASes are in the AS_SET of {prefix}?",
        "[Name|List|Give] the members of the AS_SET in the path to {prefix}.",
        "[Which|What] AS numbers does the set of {prefix} hold?",
        "According to its AS_SET, which ASes was {prefix} aggregated from?",
    ),
    "next_hop": (
        "[What|Which] is the next hop of {prefix}?",
        "[Give|Name] the next hop [of|for] {prefix}.",
        "To [which|what] next hop does the route to {prefix} point?",
    ),
    "longest_match": (
        "[Which|What] prefix is used for [traffic to|packets to] {address}?",
        "[Give|Name] the most specific prefix that covers {address}.",
        "[Which|What] entry matches {address} by longest match?",
    ),
    "covering": (
        "How many of the [prefixes|listed prefixes] cover {prefix}?",
        "[Count|Give the number of] the less specific prefixes of {prefix}.",
        "[In|Inside] how many of these prefixes does {prefix} lie?",
        "How many entries are [less specific|shorter] prefixes that contain {prefix}?",
    ),
    "more_specifics": (
        "How many of the [prefixes|listed prefixes] lie inside {prefix}?",
        "[Count|Give the number of] the more specific prefixes of {prefix}.",
        "[How many|What number of] more-specifics of {prefix} are there here?",
        "How many [entries|routes] fall within {prefix}?",
    ),
    "moas": (
        "Is {prefix} [a MOAS prefix|in a MOAS conflict] here?",
        "Do [several|different] ASes originate {prefix}?",
        "Does {prefix} have [more than one origin AS|multiple origin ASes]?",
        "[Is there|Do you see] a MOAS conflict for {prefix}?",
    ),
    "origins": (
        "[Which|What] ASes originate {prefix}?",
        "[Name|List|Give] all origin ASes of {prefix}.",
        "[Which|What] AS numbers appear as origins of {prefix}?",
        "{prefix} is originated by [which|what] ASes?",
    ),
    "visibility": (
        "How many peers have a route to {prefix} [in the end|at the end]?",
        "[Count|Give the number of] the peers that hold {prefix} after all lines.",
        "How many peers [see|still hold] {prefix} in the end?",
        "How many [different|distinct] peers hold a route for {prefix} at the end?",
    ),
    "lengths": (
        "How many [different|distinct] prefixes of length /{length} are there?",
        "[Count|Give the number of] the /{length} prefixes.",
        "How many of the prefixes [are a|have the length] /{length}?",
        "[How many|What number of] /{length}s are in this list?",
    ),
    "best_path": (
        "[Which|What] is the next hop of the best route? Higher local preference wins, then the shorter AS path.",
        "By local preference, then AS path length: [which|what] next hop is chosen?",
        "[Give|Name] the next hop of the route that BGP selects (local preference first, then path length).",
        "[Which|What] next hop wins the decision: highest local preference, then shortest AS path?",
    ),
    "filtered": (
        "[Which|What] prefix is [dropped|caught] by the filter?",
        "[Name|Give] the prefix that lies inside a filtered block.",
        "[Which|What] route does the filter list [reject|match]?",
        "The filter drops what lies in its blocks. [Which|What] prefix is that?",
    ),
    "withdrawals": (
        "How many withdrawals did peer AS {asn} send?",
        "[Count|Give the number of] the withdrawals of AS {asn}.",
        "How [many times|often] does peer AS {asn} withdraw a prefix?",
        "How many of the [lines|updates] are withdrawals by AS {asn}?",
        "[What number of|How many] prefixes did AS {asn} withdraw, repeats counted?",
    ),
    "first_seen": (
        "When was {prefix} first announced?",
        "[Give|State] the time of the first announcement of {prefix}.",
        "At [what|which] time does the first announcement of {prefix} [come|appear]?",
        "[What|Which] is the time of the earliest announcement for {prefix}?",
    ),
    "flapped": (
        "[Which|What] prefix flapped?",
        "[Which|What] prefix was announced, withdrawn and announced again?",
        "[Name|Give] the prefix that went away and came back.",
        "One prefix flaps. Which [one is it|one]?",
        "[Which|What] prefix shows a flap: announced, withdrawn, announced again?",
    ),
    "still_there": (
        "Does AS {asn} still [have|hold] a route to {prefix} in the end?",
        "After all lines, is {prefix} [reachable|available] through peer AS {asn}?",
        "Is there [still|in the end] a route from AS {asn} to {prefix}?",
        "In the end, does peer AS {asn} [announce|offer] {prefix}?",
    ),
    "path_changes": (
        "How often did AS {asn} replace its [path|AS path] to {prefix} with another one, without withdrawing it first?",
        "[Count|Give the number of] the times peer AS {asn} replaced the path to {prefix} while it held one.",
        "How many times does AS {asn} change [the path|its path] to {prefix} while it holds one?",
        "[How many|What number of] path changes, with no withdrawal in between, does AS {asn} make for {prefix}?",
    ),
    "origin_change": (
        "[Which|What] AS is the new origin of {prefix}?",
        "Who originates {prefix} [after|afterwards] but not before?",
        "[Name|Give] the AS that newly originates {prefix}.",
        "The origin of {prefix} changes. To [which|what] AS?",
    ),
    "changed_prefix": (
        "[Which|What] prefix has another origin [after|afterwards] than before?",
        "[Name|Give] the prefix whose origin AS changed.",
        "For [which|what] prefix does the origin change?",
        "One prefix changes its origin AS. Which [one is it|one]?",
    ),
    "subprefix": (
        "[Which|What] prefix that [is announced|appears] afterwards is part of another AS's prefix?",
        "[Name|Give] the more specific prefix that another AS announces afterwards.",
        "[Which|What] announcement is a sub-prefix with a foreign origin?",
        "Part of a prefix gets a different origin. [Which|What] prefix is that part?",
    ),
    "rpki": (
        "[What|Which] is the RPKI state of the route to {prefix}: valid, invalid or not-found?",
        "Validate the origin of {prefix} [against|with] the VRPs: valid, invalid or not-found?",
        "Is the route to {prefix} valid, invalid or not-found [by|according to] the VRPs?",
        "Origin validation of {prefix}: [is it|does it give] valid, invalid or not-found?",
    ),
    "blackhole": (
        "[Which|What] prefix is [to be blackholed|tagged with the BLACKHOLE community]?",
        "For [which|what] prefix is blackholing requested?",
        "[Name|Give] the prefix with the well-known blackhole community.",
        "Traffic to [which|what] prefix should be dropped?",
    ),
    "community": (
        "How many [communities|different communities] of {prefix} are from AS {asn}?",
        "[Count|Give the number of] the communities with AS {asn} in front on the route to {prefix}.",
        "How many community values of AS {asn} does {prefix} [carry|have]?",
        "On the route to {prefix}, how many communities [begin with|belong to] {asn}?",
    ),
    "valley_free": (
        "Is [this|the] path valley-free?",
        "Does [this|the] path [keep to|obey] the valley-free rule?",
        "Was every export on this path [allowed by|in line with] the relationships?",
        "Is this path free of [route leaks|valleys]?",
        "Do all exports on this path [fit|follow] the relationships?",
    ),
    "leaker": (
        "[Which|What] AS leaked a route?",
        "[Name|Give] the AS that passed a route on in violation of its relationships.",
        "[Which|What] AS [caused|is responsible for] the route leak?",
        "One AS passed a route from a provider or peer on to another provider or peer. [Which AS|Which one]?",
    ),
}

HELD_OUT: dict[str, tuple[str, ...]] = {
    "origin_as": (
        "{prefix} is announced into BGP by which AS?",
        "Read off where {prefix} comes from: which AS [brought|put] it into BGP?",
    ),
    "upstream": (
        "Look at {prefix}: which AS [learned|received] the route from its origin?",
        "The origin of {prefix} has one neighbor in this path. Which AS is it?",
    ),
    "upstreams": (
        "AS {asn} has which ASes right next to it, on [its left|the peers' side], in the paths?",
        "Which neighbors [learned|received] a route directly from AS {asn}?",
    ),
    "path_length": (
        "Count the AS path of {prefix} the way RFC 4271 does.",
        "What is the AS path length of {prefix}, [every copy|each repeat] included?",
    ),
    "unique_hops": (
        "Ignore prepending: how many ASes are on the way to {prefix}?",
        "{prefix}: number of distinct ASes in its path?",
    ),
    "prepender": (
        "Someone made the path of {prefix} longer. [Who|Which AS]?",
        "In the path of {prefix}, one AS is repeated. Which one?",
    ),
    "prepend_count": (
        "AS {asn} repeats itself on the way to {prefix}. How many copies are superfluous?",
        "By how many hops did AS {asn} lengthen the path of {prefix}?",
    ),
    "clean_path": (
        "Write down the way to {prefix}, naming [each AS|every AS] a single time.",
        "Path of {prefix}, deduplicated?",
    ),
    "as_set": (
        "The path of {prefix} ends in a set. Which ASes [are in it|does it hold]?",
        "Whom does the AS_SET of {prefix} name?",
    ),
    "next_hop": ("Where are packets for {prefix} [sent|handed] next?", "{prefix}: next hop?"),
    "longest_match": (
        "A packet for {address} arrives. Which [route|prefix] is taken?",
        "Look up {address} in this table.",
    ),
    "covering": (
        "{prefix} is part of how many of these prefixes?",
        "How many larger prefixes [enclose|hold] {prefix}?",
    ),
    "more_specifics": (
        "{prefix} contains how many of these?",
        "How many [smaller prefixes|subnets] of {prefix} are in the list?",
    ),
    "moas": (
        "Do the routes to {prefix} end in different ASes?",
        "Would a monitor report {prefix} for having more than one origin?",
    ),
    "origins": ("{prefix} comes from which AS or ASes?", "Where do the paths to {prefix} [end|stop]?"),
    "visibility": (
        "When all is done, how many peers [have a route to|still have] {prefix}?",
        "How widely is {prefix} seen in the end: by how many peers?",
    ),
    "lengths": (
        "How often is the mask /{length} [used|found]?",
        "Tally the /{length} networks.",
    ),
    "best_path": (
        "Run best-path selection by local preference, then path length. Where does traffic go next?",
        "Preference first, path length second: the winner's next hop?",
    ),
    "filtered": (
        "An operator applies this filter. What is [refused|lost]?",
        "One route hits the filter. What is its prefix?",
    ),
    "withdrawals": ("AS {asn} withdrew how many routes, repeats counted?", "Number of W entries [from|of] AS {asn}?"),
    "first_seen": (
        "From when on is {prefix} announced?",
        "Find the moment at which {prefix} is [announced first|first advertised].",
    ),
    "flapped": (
        "Which destination was lost and regained?",
        "What was unstable here: which prefix [vanished and returned|left and returned]?",
    ),
    "still_there": (
        "Has AS {asn} kept {prefix}, as things stand after the last line?",
        "{prefix} via AS {asn}: is it still there at the end?",
    ),
    "path_changes": (
        "AS {asn} moved {prefix} from one path to another without withdrawing it. How many times?",
        "Number of implicit path replacements for {prefix} by AS {asn}?",
    ),
    "origin_change": (
        "Who has newly begun to announce {prefix}?",
        "Compare both parts: what is the origin of {prefix} that is new?",
    ),
    "changed_prefix": (
        "Compare both parts. Which prefix has a different origin?",
        "Which prefix moved to another [AS|network]?",
    ),
    "subprefix": (
        "Afterwards someone announces a slice of someone else's prefix. Which slice?",
        "Spot the sub-prefix hijack: which prefix?",
    ),
    "rpki": (
        "What would a validating router call {prefix}: valid, invalid or not-found?",
        "{prefix} and the VRPs: valid, invalid or not-found?",
    ),
    "blackhole": (
        "Someone is under attack. Which prefix should be [discarded|null-routed]?",
        "Find the RFC 7999 request: which prefix?",
    ),
    "community": (
        "How many communities of {prefix} start with AS {asn}?",
        "{prefix} carries how many tags of AS {asn}?",
    ),
    "valley_free": (
        "Would Gao and Rexford accept this path?",
        "Did every AS on the path [only export what it may|keep to its export rules]?",
    ),
    "leaker": ("Who should not have passed the route on?", "Find the [culprit|leaking AS] of this leak."),
}

FORMS: dict[AnswerKind, tuple[str, ...]] = {
    "integer": ("Answer with a number.", "Reply with the number alone.", "Give only the number."),
    "number": ("Answer with a number.", "Reply with the number alone.", "Give only the number."),
    "asn": ("Answer with the AS number alone.", "Reply with the number only.", "Give just the AS number."),
    "asns": ("Answer with AS numbers, separated by commas.", "Reply with the numbers only, separated by commas."),
    "path": ("Answer with AS numbers, separated by blanks.", "Reply with the AS numbers only, separated by blanks."),
    "prefix": ("Answer with the prefix alone.", "Reply with the prefix only.", "Give just the prefix."),
    "prefixes": ("Answer with prefixes, separated by commas.", "Reply with the prefixes only, separated by commas."),
    "address": ("Answer with the address alone.", "Reply with the address only.", "Give just the address."),
    "addresses": ("Answer with addresses, separated by commas.", "Reply with the addresses only, separated by commas."),
    "time": ("Answer with the time as written.", "Reply with the time only, as it appears."),
    "yes_no": ("Answer yes or no.", "Reply with yes or no.", "Yes or no?"),
    "word": ("Answer with one word.", "Reply with the word alone.", "Give just the word."),
}
"""What is said of the form of the answer."""

ABOUT: tuple[str, ...] = (
    "This is output of {about}.",
    "The lines below come from {about}.",
    "Read this output of {about}.",
)
"""What is said of an excerpt that a program printed."""


@cache
def wordings(family: str, held_out: bool) -> tuple[str, ...]:
    """The wordings of a family: those that every split uses, or those that train never sees."""
    return tuple(words for template in (HELD_OUT if held_out else SHARED)[family] for words in expand(template))


def expand(template: str) -> Iterator[str]:
    """Every text that a template stands for."""
    parts = re.split(r"\[([^\]]*)\]", template)
    choices = [part.split("|") if place % 2 else [part] for place, part in enumerate(parts)]
    return map("".join, product(*choices))
