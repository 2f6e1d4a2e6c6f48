import Sweeps

/// The page that tells a reader of a bundle what is in it.
enum BundleText {
    static func readme(_ plan: Plan, _ tables: Records, _ leaderboard: Leaderboard) -> String {
        var text = """
            # \(plan.sweep.name)

            What a sweep for winning lottery tickets came to, made by tombola \(Version.text). Check it with

                sha256sum --check SHA256SUMS            # in this folder
                tombola verify ARCHIVE [--data DIR]     # makes leaderboard and tables (but evaluations.csv) anew, evaluates tickets

            | file | holds |
            |---|---|
            | `spec.yaml` | the sweep, word for word |
            | `results.json` | what each training came to, by task key; digests of the data sets |
            | `leaderboard.json` | the points of the sweep, ranked by their tickets |
            | `leaderboard-by-density.json` | each point level by level |
            | `runs.csv` | a row for each run, with all of its settings and seeds |
            | `levels.csv` | a row for each training of each run |
            | `evaluations.csv` | a row for each evaluation of each training of each run |
            | `connectivity.csv` | a row for each point on the line between a training and its sibling, where the sweep has such |
            | `tickets/ID.safetensors` | weights and masks of the tickets on the leaderboard, under PyTorch's names |

            Accuracies are fractions of the test set. Tables are in long form; a training that several runs share is in the rows of each,
            under the same `task`. A missing value is empty.

            """
        for table in tables.tables {
            text += "\n## \(table.rawValue).csv\n\n| column | meaning |\n|---|---|\n"
            for column in tables.columns(of: table) { text += "| `\(column.name)` | \(column.meaning) |\n" }
        }
        return text
    }
}
