"""A judge: a model that is asked where rules can't tell, and whose word counts only in one strict form."""

from thrifty.exam.judging.fence import PROMPT_ID, prompt_sha256
from thrifty.exam.judging.judge import Judge
from thrifty.exam.judging.judgement import Judgement

__all__ = ["PROMPT_ID", "Judge", "Judgement", "prompt_sha256"]
