"""Validation beyond the schema, kind by kind, as kubernetes pkg/apis/*/validation does it, with its messages.

Each function reads through a `Reader`, reports into it and never stops at the first fault. What the API server would fill in
may be absent. Whole-document checks, the Lab's and those across documents are in `lab` and `scenario`.
"""
