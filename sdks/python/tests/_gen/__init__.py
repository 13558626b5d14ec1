"""Code that a schema compiler made, to hold the SDK against."""
