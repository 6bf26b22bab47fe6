"""Lesson 02: see `lesson.md`."""
