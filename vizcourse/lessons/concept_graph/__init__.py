"""Lesson 06: see `lesson.md`."""
