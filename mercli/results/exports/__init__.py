"""Answers as files of other tools, a module a format: answers in, text or bytes out."""
