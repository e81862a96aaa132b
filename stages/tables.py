"""`python -m stages.tables`: all tables, picture grids and `report.html`, only from files."""

from avcat.metrics.results import BOUNDS
from avcat.report.report import write_report
from avcat.report.tables import place_of, title_of
from avcat.study.table import table2
from stages._main import main
from stages._mlflow import tracked
from stages._params import load


def work() -> None:
    """Reads the evaluations and the curves of the trainings, writes `out/<profile>/tables/`."""
    params = load()
    evaluations, tables = params.out / "evaluate", params.out / "tables"
    trainings = {"SyncNet": params.out / "syncnet", "evaluator SyncNet": params.out / "evaluator"}
    rows = sorted(params.selected, key=place_of)
    trainings |= {title_of(row): params.out / "train" / row for row in rows}
    others = [row for row in params.rows if row not in rows]  # from an earlier run, perhaps with other settings
    with tracked("tables", {"profile": params.profile}) as run:
        results = write_report(tables, evaluations, trainings, table2(params.out / "study"), others, rows)
        for row in sorted({r.method for r in results} - {*params.selected, *BOUNDS}):
            print(f"{row}: not in params.yaml, so shown as videos made elsewhere; if it is not, remove its evaluation")
        for row in (row for row in others if (evaluations / row).is_dir()):
            print(f"{row}: left out; its figures may be out of date, as `selected` of params.yaml does not name it")
        print((tables / "table1.md").read_text())
        print((tables / "mouth.md").read_text())
        of_ceiling = {f"{r.method}.{r.corpus}.opening_of_ceiling": r.opening_of_ceiling for r in results}
        run.summarise({name: value for name, value in of_ceiling.items() if value == value})  # NaN: not measured


if __name__ == "__main__":
    main(work, __doc__)
