"""Lesson 01: see `lesson.md`."""
