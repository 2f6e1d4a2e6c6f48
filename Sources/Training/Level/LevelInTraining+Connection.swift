import Lottery

extension LevelInTraining {
    /// Errors on the line from the network as it is now to the one whose `final` is at `path`; nil if `isInterrupted`,
    /// which is asked now and then, said so. The network is as it was afterwards.
    func connectivity(
        _ connection: TrainingTask.Connection, peer path: String?, unless isInterrupted: () -> Bool
    ) throws(TrainingError) -> Connectivity? {
        guard let path else { throw .unreadable("the training to compare with is not among the inputs") }
        guard connection.points >= 3 else {
            throw .impossible("a line of \(connection.points) points has nothing between its ends; it needs 3 or more")
        }
        let file = try TensorFile(path: path)
        for parameter in network.parameters { try file.check("trained", of: parameter) }
        // Beside the network are the survivors of this end, and one tensor of the other.
        let own = PackedWeights(of: network)
        defer { own.put(into: network) }
        var errors: [Double] = []
        for point in 0..<connection.points {
            let share = Double(point) / Double(connection.points - 1)
            for (index, parameter) in network.parameters.enumerated() {
                let peer = try file.values("trained", of: parameter)
                network.setValues(interpolated(own.values(of: index, in: network), peer, share), of: index)
            }
            guard let error = error(connection.batchNorm, unless: isInterrupted) else { return nil }
            errors.append(error)
        }
        return Connectivity(errors: errors)
    }

    /// (1 − share) · own + share · peer in f64, rounded once; the ends are the networks themselves, whatever the other
    /// one holds.
    private func interpolated(_ own: [Float], _ peer: [Float], _ share: Double) -> [Float] {
        if share == 0 { return own }
        if share == 1 { return peer }
        return zip(own, peer).map { Float((1 - share) * Double($0) + share * Double($1)) }
    }

    /// Share of the test images that the network as it is gets wrong; nil if interrupted.
    private func error(_ batchNorm: BatchNormPolicy, unless isInterrupted: () -> Bool) -> Double? {
        let count = data.shape.testCount
        if batchNorm == .recomputed, network.hasStatistics {
            var order = order
            for step in 0..<BatchNormPolicy.recomputedBatches {
                let isFinite = order.batch(at: step).withUnsafeBufferPointer {
                    network.moveStatistics(images: data.trainImages, labels: data.trainLabels, indices: $0)
                }
                guard isFinite else { return 1 }
                if isInterrupted() { return nil }
            }
        }
        return network.evaluate(
            images: data.testImages, labels: data.testLabels, range: 0..<count, unless: isInterrupted
        ).map { Double(count - $0.correct) / Double(count) }
    }
}

extension Network {
    /// Whether any layer keeps running statistics.
    fileprivate var hasStatistics: Bool { parameters.contains { $0.role == .statistic } }
}
