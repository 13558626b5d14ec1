"""The behaviours that users of tasks, actors and objects rely on, one test each, against a real server."""
