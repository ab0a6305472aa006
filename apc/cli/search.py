"""`apc search`: a space of search_spaces/ searched with Ray Tune and Optuna."""


def command(words: list[str]) -> int | None:
    from apc.experiment.main import search_space

    return search_space(words)
