"""Qwen2.5-VL and the thinker of Qwen2.5-Omni: from decoded frames and a prompt to an answer, token by token."""
