"""Lesson 05: see `lesson.md`."""
