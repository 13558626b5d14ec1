"""Tests of the SDK alone: no server runs."""
