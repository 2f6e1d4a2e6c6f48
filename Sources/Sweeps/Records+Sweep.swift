import Lottery

/// What a spec says of the sweep as a whole: columns of `runs`, under the spec's own names.
enum SweepSettings {
    static let columns = [
        RecordColumn(name: "seed", meaning: "seed of the sweep: replicate r has the seeds that follow from it plus r"),
        RecordColumn(
            name: "replicates",
            meaning: "replicates of each point; where they are added as tests ask for them, the most that one may have"),
        RecordColumn(
            name: "branches",
            meaning: "controls beside the levels from 1 on, or beside some of them: NAME:4:6 beside levels 4 and 6"),
        RecordColumn(name: "refine.looks", meaning: "numbers of replicates at which a point is tested"),
        RecordColumn(name: "refine.budget", meaning: "runs beyond the first look that the whole sweep may have"),
        RecordColumn(
            name: "stop_when.margin",
            meaning: "how far below its dense network tickets end a chain, as a fraction of the test set"),
        RecordColumn(name: "stop_when.levels", meaning: "how many such levels in a row end it"),
        RecordColumn(name: "winning_at", meaning: "densities at which winning is tested; missing for all of a chain"),
    ]

    static func values(of sweep: Sweep) -> [RecordValue] {
        [
            // As the other seeds, of which not all are numbers that JSON's readers hold.
            .text(String(sweep.seed)), .integer(sweep.replicates), list(sweep.branches.map(name)),
            list(sweep.refinement?.looks ?? []), RecordValue(sweep.refinement?.budget),
            RecordValue(sweep.stopRule?.margin), RecordValue(sweep.stopRule?.levels), list(sweep.winningAt),
        ]
    }

    private static func name(of branch: SweepBranch) -> String {
        ([branch.name] + (branch.levels ?? []).map(String.init)).joined(separator: ":")
    }

    /// Missing if there are none.
    private static func list(_ items: [some CustomStringConvertible]) -> RecordValue {
        items.isEmpty ? .missing : .text(items.map(\.description).joined(separator: " "))
    }
}
