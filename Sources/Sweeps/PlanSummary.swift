import Lottery

/// What `tombola plan --json` prints.
public struct PlanSummary: Hashable, Sendable, Codable {
    public var sweep: String
    public var points: Int
    /// Points that `exclude` left out.
    public var excluded: Int
    /// Points × replicates.
    public var runs: Int
    /// Trainings of all runs' chains, dense ones included and branches not.
    public var levels: Int
    public var tasks: Int
    /// Tasks if each run were on its own, all that it starts from included; never fewer than `tasks`.
    public var tasksWithoutSharing: Int
    public var tasksDone: Int
    /// Training steps of all tasks.
    public var steps: Int
    public var stepsWithoutSharing: Int
    public var stepsRemaining: Int
    public var axes: [Axis]
    public var branches: [String]
    public var replicates: Int
    /// Every density that some point reaches, from 1 down.
    public var densities: [Double]
    /// Nil where no training has a sibling.
    public var instability: Siblings?
    /// What is fixed for one of two recipes alone; nil where there is one recipe.
    public var maskFrom: PointCoordinates?
    public var train: PointCoordinates?
    /// Nil where all tasks are certain.
    public var adaptive: Adaptive?
    /// What fits into the core time that was named; nil where none was.
    public var budget: BudgetPlan?

    /// The trainings that are compared with others for `instability`. Their tasks and steps are among those of the
    /// plan.
    public struct Siblings: Hashable, Sendable, Codable {
        /// Nil for all.
        public var levels: [Int]?
        public var points: Int
        public var batchNorm: BatchNormPolicy
        public var tasks: Int

        init(_ instability: Instability, tasks: Int) {
            (levels, points, batchNorm) = (instability.levels, instability.points, instability.batchNorm)
            self.tasks = tasks
        }

        private enum CodingKeys: String, CodingKey {
            case levels, points, tasks
            case batchNorm = "batch_norm"
        }
    }

    public struct Axis: Hashable, Sendable, Codable {
        public var name: String
        public var path: String
        public var values: [AxisValue]
    }

    private enum CodingKeys: String, CodingKey {
        case sweep, points, excluded, runs, levels, tasks, steps, axes, branches, replicates, densities, instability,
            train, adaptive, budget
        case maskFrom = "mask_from"
        case tasksWithoutSharing = "tasks_without_sharing"
        case tasksDone = "tasks_done"
        case stepsWithoutSharing = "steps_without_sharing"
        case stepsRemaining = "steps_remaining"
    }
}

/// A setting's value in JSON: a number where the person wrote one.
public struct AxisValue: Hashable, Sendable, CustomStringConvertible {
    public let value: SettingValue

    public init(_ value: SettingValue) { self.value = value }

    public var description: String { value.description }
}

extension AxisValue: Codable {
    private struct Key: CodingKey {
        let stringValue: String
        var intValue: Int? { nil }
        init(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    public func encode(to encoder: any Encoder) throws {
        switch value {
        case .scalar(let text):
            var container = encoder.singleValueContainer()
            if let number = Int(text.filter { $0 != "_" }) {
                try container.encode(number)
            } else if let number = text.numericValue {
                try container.encode(number)
            } else {
                try container.encode(text)
            }
        case .list(let items):
            var container = encoder.unkeyedContainer()
            for item in items { try container.encode(AxisValue(item)) }
        case .map(let entries):
            var container = encoder.container(keyedBy: Key.self)
            for entry in entries { try container.encode(AxisValue(entry.value), forKey: Key(stringValue: entry.key)) }
        }
    }

    public init(from decoder: any Decoder) throws {
        if let container = try? decoder.container(keyedBy: Key.self) {  // not an object: tried as the next kind
            value = .map(
                try container.allKeys.sorted { $0.stringValue < $1.stringValue }.map { key in
                    SettingValue.Entry(
                        key: key.stringValue, value: try container.decode(AxisValue.self, forKey: key).value)
                })
        } else if var container = try? decoder.unkeyedContainer() {  // not an array: tried as the next kind
            var items: [SettingValue] = []
            while !container.isAtEnd { items.append(try container.decode(AxisValue.self).value) }
            value = .list(items)
        } else {
            let container = try decoder.singleValueContainer()
            if let number = try? container.decode(Int.self) {  // not whole: tried as the next kind
                value = .scalar(String(number))
            } else if let number = try? container.decode(Double.self) {  // not a number: a text
                value = .scalar(String(number))
            } else {
                value = .scalar(try container.decode(String.self))
            }
        }
    }
}
