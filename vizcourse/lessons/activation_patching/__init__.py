"""Lesson 04: see `lesson.md`."""
