"""Work on logs without a bench: what a log tells of its cell, and whether a profile explains it."""

from bench.offline.estimate import LogEstimate, estimate_log
from bench.offline.judge import LogJudgement, judge_log

__all__ = ["LogEstimate", "LogJudgement", "estimate_log", "judge_log"]
