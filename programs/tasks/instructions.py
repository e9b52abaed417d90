"""The instructions of fusors, aggregators and judges: our own wording, each with the source of its structure.

Every text is one paragraph without line breaks, so that it survives ``dspy.Signature``'s ``inspect.cleandoc`` byte for
byte.
"""

FUSE = (
    "You are given a task and several candidate responses to it. First compare the candidates: note where each one is"
    " strong and where it is weak, in content, in correctness and in language. Then write one new response that joins"
    " their strongest parts, leaves out their mistakes and weak parts, and answers the task fully and naturally."
)
"""FusioN (arXiv 2510.00931): compare strengths and weaknesses, then fuse while avoiding the worst parts.

Unlike the paper's prompt, the answer is a field of the task's signature and not text between double square brackets.
"""

AGGREGATE = (
    "Several responses to the user's request have been collected. Combine them into a single response of high quality."
    " Judge each of them critically, since some of what they say may be wrong or one-sided. Do not merely repeat them:"
    " give a refined, accurate and complete answer that is well ordered and can be relied on."
)
"""AFT (arXiv 2501.11877, appendix A), which takes the structure over from Mixture-of-Agents (arXiv 2406.04692)."""

CORRECT = (
    "Below are attempts at the same problem. It is possible that all, some or none of them are right. Check each step,"
    " mend what is wrong, fill what is missing, and write the final solution yourself."
)
"""AggLM (arXiv 2509.06870): any, all or none of the candidates may be right."""

RECOMBINE = (
    "Use the useful ideas of the attempts below. Where they disagree, find out which path is right; if all of them"
    " fail, try another approach. Write one improved and self-contained solution."
)
"""Recursive self-aggregation (arXiv 2509.26626): improve on a subset of the population."""

GENERATE_FROM = (
    "Here are several answers to one question. With them in view, answer the question anew as well as you can. There is"
    " no need to say which of them was best."
)
"""Generative self-aggregation (arXiv 2503.04104): a new answer given the others, without explicit judging."""

CONSENSUS = (
    "Read the responses below and find what most of them agree on. Write the response that follows this consensus in"
    " every part, and where there is none follow the best argued response."
)
"""Universal self-consistency (arXiv 2311.17311), turned from picking a response into writing one."""

PART_BY_PART = (
    "Go through the task part by part. For every part look up what each candidate says about it, decide which of them"
    " is right, and put the right parts together into one complete answer."
)
"""Ours: fusion at the grain of the task's parts, where a vote over whole answers cannot act."""

AVOID_ERRORS = (
    "Some of the candidates below contain errors. Find the errors first. Then write an answer that contains none of"
    " them and keeps everything that is right."
)
"""Ours, after FusioN's lesson that the fusor must be told to leave the worst parts out."""

REVISE = (
    "You are given a task and a first response to it. Find what is wrong, missing or unclear in the response, then"
    " write a better one. Keep what is already right."
)
"""Sequential revision: AFT with one proposal a layer (arXiv 2501.11877, section 3.3)."""

FUSOR_INSTRUCTIONS: tuple[str, ...] = (
    FUSE, AGGREGATE, CORRECT, RECOMBINE, GENERATE_FROM, CONSENSUS, PART_BY_PART, AVOID_ERRORS,
)  # fmt: skip
"""The texts an optimizer starts from, in a fixed order."""

JUDGE = (
    "You are an impartial judge. Check the response against the task point by point, and do not reward length or style"
    " for their own sake. Say how many points of the task the response gets right out of how many there are, as a"
    " fraction such as 3/4."
)
"""Pointwise grading on a rubric of the task's own points; the fraction is read as a score in [0, 1]."""

COMPARE = (
    "You are an impartial judge of two responses to the same task. Rate each of them from 1 to 10 for correctness and "
    "completeness. Neither their order nor their length may influence you."
)
"""V1-Infer (arXiv 2603.04304): pairwise verification in which both responses are rated from 1 to 10."""

RATE = (
    "You are an impartial judge. Grade the response to the task for correctness, completeness, relevance and clarity,"
    " and where a reference or a rubric is given, grade by it. Do not reward length or style for their own sake. Give a"
    " short reason, then the rating."
)
"""Grading on a scale, as MT-bench's single-answer judge does (arXiv 2306.05685)."""

PREFER = (
    "You are an impartial judge of two responses to the same task, A and B. Compare how correct, complete and helpful"
    " they are. Neither their order nor their length nor their names may influence you. End with [[A]] if A is better,"
    " [[B]] if B is, [[tie]] if neither is."
)
"""MT-bench (arXiv 2306.05685): a pairwise judge that may call a tie;
that it is asked in both orders is up to the caller.
"""

SELECT = (
    "Below are numbered responses to the same task. Study every one of them, check its steps, and find out where and"
    " why they differ. Then choose the single best response, the one most likely to be right. End with its number, as"
    " in: Judgment: 2"
)
"""GenSelect (arXiv 2507.17797): a generative selector that reads all solutions side by side and ends with the index of
one.
"""

MOST_CONSISTENT = (
    "Below are numbered responses to the same task. Work out what most of them agree on in substance, however they put"
    " it, and choose the single response that agrees best with this majority. End with its number, as in: Judgment: 2"
)
"""Universal self-consistency (arXiv 2311.17311): the model itself picks the response that is most consistent with the
others.
"""
