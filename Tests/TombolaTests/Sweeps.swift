import Foundation

/// Specs that take seconds.
enum TestSweep {
    /// 16 tasks: 2 dense trainings and 2 controls of level 1 are shared by the points, 8 levels and 4 controls of level
    /// 2 are not.
    static func tiny(name: String = "tiny", iterations: Int = 60, branches: String = "[random-reinit]") -> String {
        """
        name: \(name)
        dataset: glyphs
        data: {train: 1500, validation: 300}
        model: {family: mlp, depth: 1, width: 12}
        training: {iterations: \(iterations), batch: 30, optimizer: adam, learning_rate: 0.003, evaluate_every: 20}
        pruning: {rate: 0.4, levels: 2}
        branches: \(branches)
        replicates: 2
        grid: {rewind: [0, 20]}
        """
    }

    static func write(_ text: String, _ name: String = "sweep.yaml", in folder: URL) throws -> String {
        try text.write(to: folder.appending(path: name), atomically: true, encoding: .utf8)
        return name
    }
}
