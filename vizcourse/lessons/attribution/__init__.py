"""Lesson 03: see `lesson.md`."""
