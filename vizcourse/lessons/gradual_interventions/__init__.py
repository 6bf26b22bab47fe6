"""Lesson 07: see `lesson.md`."""
