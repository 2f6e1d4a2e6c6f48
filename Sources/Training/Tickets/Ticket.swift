import Kernels
import Lottery

/// A level's ticket: its mask, the weights it rewinds to, its trained weights, and what these are measured to reach.
public struct Ticket {
    public let facts: TicketFacts
    private let parameters: [Network.Parameter]
    private let rewind: [[Float]]
    private let trained: [[Float]]
    /// One per weight tensor, in network order.
    private let masks: [Mask]
    private let pixelMean: [Float]
    private let pixelDeviation: [Float]
    private let model: ModelSettings
    private let resize: Int?

    /// Assembles the ticket of the level that `task` trained, and evaluates its trained weights on the test set, in
    /// f32.
    /// - Parameters:
    ///   - final: path of the task's output `final`.
    ///   - rewind: path of the checkpoint θk, if the task started from one; θ0 and fresh weights are drawn again.
    ///   - dataset: path of the canonical data set file.
    /// - Throws: `TrainingError` if a file cannot be read, or is not the task's.
    public init(
        of task: TrainingTask, final: String, rewind: String?, dataset: String, registry: Registry
    ) throws(TrainingError) {
        FloatingPointMode.flushDenormals()
        let data = try ImageData(path: dataset, settings: task.data)
        let file = try TensorFile(path: final)
        // PyTorch computes in f32, and a ticket must get the same images right there. What the level reached in another
        // precision stands in its summary.
        var measured = task
        measured.training.precision = .f32
        measured.training.batch = 1
        measured.training.optimizer = OptimizerSettings()
        measured.training.optimizer.name = "sgd"
        // Nothing is trained, and a store may have kept the weights alone.
        if case .rewound(let trajectory, let step, _) = measured.start {
            measured.start = .rewound(trajectory: trajectory, step: step, optimizer: .fresh)
        }
        let start = try LevelStart(
            measured, data: data, registry: registry, engine: Engine(), memory: .system,
            need: { description, masks in .measuring(description, survivors: masks.map(\.survivors)) },
            masks: { description throws(TrainingError) in
                var masks: [Mask] = []
                for parameter in description.parameters where parameter.isWeight {
                    masks.append(try file.mask(of: parameter))
                }
                return masks
            },
            rewind: rewind)
        let network = start.network
        parameters = network.parameters
        masks = start.masks
        self.rewind = parameters.indices.map { network.values(of: $0) }
        var trained: [[Float]] = []
        for (index, parameter) in parameters.enumerated() {
            let values = try file.values("trained", of: parameter)
            network.setValues(values, of: index)
            trained.append(values)
        }
        self.trained = trained
        pixelMean = data.pixelMean
        pixelDeviation = data.pixelDeviation
        model = task.model
        resize = task.data.resize

        let test = network.evaluate(images: data.testImages, labels: data.testLabels, range: 0..<data.shape.testCount)
        let layers = zip(network.weightIndices, masks).map { index, mask in
            LayerCount(
                name: network.parameters[index].name, kind: network.parameters[index].kind, weights: mask.count,
                surviving: mask.survivors)
        }
        var hasher = ContentHasher()
        for mask in masks { hasher.update(mask.bytes) }
        facts = TicketFacts(
            task: task.key, dataset: data.shape.name, datasetDigest: task.dataset, model: task.model.family,
            rewindStep: task.firstStep, testImagesRight: test.correct, testImagesSeen: data.shape.testCount,
            density: layers.density(prunedAt: task.pruning?.rates),
            layers: layers,
            finalDigest: file.digest, maskDigest: hasher.finalize())
    }

    /// What anyone can find out about an exported ticket who has the data, too.
    public struct Recount: Hashable, Sendable {
        /// By the trained weights, in f32.
        public var testImagesRight: Int
        /// Whether its `rewind` weights are, bit for bit, those that the task's seed draws; nil where they are of a
        /// training.
        public var beginsAsDrawn: Bool?
        /// What an export says of the training and its data, by key of the metadata; without what is of the file
        /// (`final_digest`, `test_images_right`, `spec`).
        public var metadata: [String: String]
        /// Of the tensors of an export, by name.
        public var shapes: [String: [Int]]
    }

    /// Evaluates an exported ticket, and draws again the weights that it goes back to, if they are drawn.
    /// - Parameters:
    ///   - task: of the level.
    ///   - exported: path of what `export` wrote.
    ///   - dataset: path of the canonical data set file.
    public static func recount(
        of task: TrainingTask, exported: String, dataset: String, registry: Registry
    ) throws(TrainingError) -> Recount {
        let trained = task
        var task = task
        let isDrawn: Bool
        switch task.start {
        case .initialisation, .reinitialised, .varied: isDrawn = true
        case .rewound, .retrained:
            isDrawn = false
            // The weights that its training began with are in another file.
            task.start = .initialisation
        }
        let ticket = try Ticket(of: task, final: exported, rewind: nil, dataset: dataset, registry: registry)
        var beginsAsDrawn: Bool?
        if isDrawn {
            let file = try TensorFile(path: exported)
            beginsAsDrawn = true
            for (parameter, drawn) in zip(ticket.parameters, ticket.rewind) {
                let held = try file.values("rewind", of: parameter)
                if held.map(\.bitPattern) != drawn.map(\.bitPattern) { beginsAsDrawn = false }
            }
        }
        var metadata = ticket.metadata(spec: nil)
        for key in ["final_digest", "test_images_right"] { metadata[key] = nil }
        (metadata["task"], metadata["rewind_step"]) = (trained.key.hex, String(trained.firstStep))
        return Recount(
            testImagesRight: ticket.facts.testImagesRight, beginsAsDrawn: beginsAsDrawn, metadata: metadata,
            shapes: Dictionary(uniqueKeysWithValues: ticket.tensors.map { ($0.name, $0.shape) }))
    }

    /// Writes the ticket to `path` as `safetensors(spec:)` has it, whole or not at all.
    public func export(to path: String, spec: String?) throws(TrainingError) {
        do { try DurableFile.write(tensors, metadata: metadata(spec: spec), to: path) } catch {
            throw .unwritable(error.description)
        }
    }

    /// The ticket as safetensors under PyTorch's names and layouts: `rewind.NAME` and `trained.NAME` f32 of every
    /// parameter, `mask.NAME` u8 of every weight. Pruned weights are zero in both.
    /// - Parameter spec: the text of the sweep, kept in the metadata.
    public func safetensors(spec: String?) -> [UInt8] { Safetensors.encode(tensors, metadata: metadata(spec: spec)) }

    private var tensors: [Safetensors.Tensor] {
        var tensors: [Safetensors.Tensor] = []
        var maskIndex = 0
        for (index, parameter) in parameters.enumerated() {
            tensors.append(.init(name: "rewind.\(parameter.name)", shape: parameter.shape, rewind[index]))
            tensors.append(.init(name: "trained.\(parameter.name)", shape: parameter.shape, trained[index]))
            guard parameter.isWeight else { continue }
            tensors.append(.init(name: "mask.\(parameter.name)", shape: parameter.shape, masks[maskIndex].bytes))
            maskIndex += 1
        }
        return tensors
    }

    private func metadata(spec: String?) -> [String: String] {
        var metadata = facts.metadata
        metadata["depth"] = model.depth.map { String($0) }
        metadata["width"] = model.width.map { String($0) }
        metadata["hidden"] = model.hidden.map { $0.map(String.init).joined(separator: " ") }
        metadata["shortcut"] = model.family == "resnet" ? model.shortcut.rawValue : nil
        metadata["input_mean"] = pixelMean.map { String($0) }.joined(separator: " ")
        metadata["input_std"] = pixelDeviation.map { String($0) }.joined(separator: " ")
        metadata["input_resize"] = resize.map(String.init)
        metadata["spec"] = spec
        return metadata
    }
}

/// What `ticket show` prints.
public struct TicketFacts: Hashable, Sendable, Codable {
    public var task: TaskKey
    public var dataset: String
    public var datasetDigest: Digest
    public var model: String
    /// k; 0 for θ0 and for fresh weights.
    public var rewindStep: Int
    /// By the trained weights.
    public var testImagesRight: Int
    public var testImagesSeen: Int
    /// Surviving over prunable weights, those of the layers that the level's rates prune.
    public var density: Double
    public var layers: [LayerCount]
    /// Of the level's `final` artifact.
    public var finalDigest: Digest
    /// Of the mask bytes of all weight tensors, in network order.
    public var maskDigest: Digest

    /// Over all layers.
    public var surviving: Int { layers.reduce(0) { $0 + $1.surviving } }
    /// Of all layers.
    public var weights: Int { layers.reduce(0) { $0 + $1.weights } }
    public var accuracy: Double { Double(testImagesRight) / Double(testImagesSeen) }

    var metadata: [String: String] {
        [
            "format": "tombola ticket 1",
            "task": task.hex,
            "dataset": dataset,
            "dataset_digest": datasetDigest.hex,
            "model": model,
            "rewind_step": String(rewindStep),
            "test_images_right": String(testImagesRight),
            "test_images_seen": String(testImagesSeen),
            "density": String(density),
            "surviving": String(surviving),
            "weights": String(weights),
            "final_digest": finalDigest.hex,
            "mask_digest": maskDigest.hex,
        ]
    }
}
