"""Training commands: train, scan, diagnose, report."""

from __future__ import annotations

from hrdepth.config import DiagnoseConfig, ReportConfig, TrainConfig
from hrdepth.errors import InputError, training_extra


def train(config: TrainConfig) -> None:
    """Train a depth network by self-supervision."""
    with training_extra():
        import hrdepth.training

    print(f"weights with the lowest validation loss: {hrdepth.training.train(config)}")


def scan(config: TrainConfig) -> None:
    """Check the data of a training config and list all problems."""
    from hrdepth.check.scan import scan_data

    report = scan_data(config)
    lines = [error.sentence for error in report.errors] + [f"warning: {fault.sentence}" for fault in report.warnings]
    print("\n".join(lines or report.summary))
    if lines:
        raise InputError(f"{len(lines)} problem{'s' if len(lines) > 1 else ''} found, listed above")


def diagnose(config: DiagnoseConfig) -> None:
    """Find out why a training fails, the most probable cause first."""
    with training_extra():
        from hrdepth.training.guard import diagnose_run

    causes = diagnose_run(config.run)
    print("\n".join(map(str, causes)) or "no cause of failure found")
    if causes:
        raise InputError(f"{config.run}: probable cause: {causes[0].kind}; all are listed above")


def report(config: ReportConfig) -> None:
    """Write a report page about a training: curves, metrics, best and worst frames, a point cloud, settings."""
    import hrdepth.report

    print(hrdepth.report.report(config))
