import Lottery

/// How a sweep's siblings are compared with their peers: columns of `runs`.
enum SiblingSettings {
    static let columns = [
        RecordColumn(name: "instability_levels", meaning: "levels whose trainings have a sibling, 0 for dense; or all"),
        RecordColumn(name: "instability_points", meaning: "values of α from 0 to 1 at which the two are compared"),
        RecordColumn(
            name: "instability_batch_norm",
            meaning: "statistics of batch-norm between the two: interpolated, or recomputed on training images"),
    ]

    static func values(_ instability: Instability) -> [RecordValue] {
        [
            .text(instability.levels.map { $0.map(String.init).joined(separator: " ") } ?? "all"),
            .integer(instability.points), .text(instability.batchNorm.rawValue),
        ]
    }
}

/// The line between a training and its sibling.
enum ConnectionRow {
    /// Of `levels`.
    static let summaryColumns = [
        RecordColumn(
            name: "barrier",
            meaning:
                "of a sibling: the largest test error on the line to its training less the mean of those at the ends")
    ]

    static func summaryValues(of record: TaskRecord) -> [RecordValue] {
        [RecordValue(record.summary?.connectivity?.barrier)]
    }

    static let columns = [
        RecordColumn(
            name: "alpha", meaning: "share of the training's weights; 0 is the sibling, 1 the training of the level"),
        RecordColumn(name: "test_error", meaning: "share of test images wrong under the weights between"),
        RecordColumn(
            name: "batch_norm", meaning: "statistics of batch-norm between the two: interpolated or recomputed"),
    ]

    static func forEach(
        of task: PlannedTask, _ record: TaskRecord, _ body: ([RecordValue]) throws -> Void
    ) rethrows {
        guard let errors = record.summary?.connectivity?.errors, let connection = task.task.connection else { return }
        for (point, error) in errors.enumerated() {
            try body([
                .real(Double(point) / Double(errors.count - 1)), .real(error), .text(connection.batchNorm.rawValue),
            ])
        }
    }
}
