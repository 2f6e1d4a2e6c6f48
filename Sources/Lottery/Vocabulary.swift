/// What this build can train, as `Sweeps` needs to know it: names, shapes and counts. The training core's registry
/// makes it.
public struct Vocabulary: Sendable {
    public var datasets: [DatasetShape]
    /// Images of the training set that are at hand. They are fewer than the shape says where only a part of a data set
    /// is.
    public var trainCount: @Sendable (DatasetShape) -> Int = { $0.trainCount }
    /// The class of which the fewest images are trained on, for criteria that look at some of each; nil if that is not known.
    public var rarestClass: @Sendable (DatasetShape, DataSettings) -> ClassCount? = { _, _ in nil }
    public var models: [String]
    public var initialisations: [String]
    public var optimizers: [String]
    public var criteria: [String]
    /// Of criteria; the default where a criterion has none.
    public var criterionTraits: [String: CriterionTraits] = [:]
    public var branches: [String]
    /// The numerics id of each precision that can be trained in.
    public var numerics: [Precision: NumericsID]
    /// The layers of a model on images of a shape, in network order; says which setting does not fit the family.
    public var layers: @Sendable (ModelSettings, DatasetShape) throws(SettingError) -> [LayerShape]
    /// Bytes that a training with these settings takes at most, without the images of its data set; 0 if nothing is
    /// known.
    public var memoryBytes: @Sendable (Settings, DatasetShape) -> Int = { _, _ in 0 }
    /// Semantics versions, other than 1, of the components that these settings run (criterion nil for a dense level).
    public var semantics: @Sendable (Settings, _ pruned: Bool) -> [String: Int]

    public init(
        datasets: [DatasetShape], models: [String], initialisations: [String], optimizers: [String], criteria: [String],
        branches: [String], numerics: [Precision: NumericsID],
        layers: @escaping @Sendable (ModelSettings, DatasetShape) throws(SettingError) -> [LayerShape],
        semantics: @escaping @Sendable (Settings, _ pruned: Bool) -> [String: Int]
    ) {
        self.datasets = datasets
        self.models = models
        self.initialisations = initialisations
        self.optimizers = optimizers
        self.criteria = criteria
        self.branches = branches
        self.numerics = numerics
        self.layers = layers
        self.semantics = semantics
    }
}

/// How many images of a class there are.
public struct ClassCount: Hashable, Sendable {
    public var label: Int
    public var count: Int

    public init(label: Int, count: Int) {
        self.label = label
        self.count = count
    }
}

/// The size of a data set: images of channels × height × width bytes.
public struct DatasetShape: Hashable, Sendable, Codable {
    public var name: String
    public var channels: Int
    public var height: Int
    public var width: Int
    public var classes: Int
    public var trainCount: Int
    public var testCount: Int

    public init(name: String, channels: Int, height: Int, width: Int, classes: Int, trainCount: Int, testCount: Int) {
        self.name = name
        self.channels = channels
        self.height = height
        self.width = width
        self.classes = classes
        self.trainCount = trainCount
        self.testCount = testCount
    }
}

extension DatasetShape {
    /// The shape once each image is averaged down to `side` × `side` pixels; nil leaves it as it is.
    public func resized(to side: Int?) throws(SettingError) -> DatasetShape {
        guard let side else { return self }
        func divides(_ side: Int) -> Bool { height.isMultiple(of: side) && width.isMultiple(of: side) }
        guard divides(side) else {
            let sides = (1...min(height, width)).reversed().filter(divides).map(String.init)
            throw SettingError(
                "must divide the \(height)×\(width) pixels of \(name), as \(sides.joined(separator: ", ")) do, "
                    + "not be \(side)")
        }
        var shape = self
        shape.height = side
        shape.width = side
        return shape
    }
}

/// A layer with weights.
public struct LayerShape: Hashable, Sendable {
    /// PyTorch name of the layer: `fc1`, `output`.
    public var name: String
    public var kind: LayerKind
    public var weights: Int
    public var biases: Int

    public init(name: String, kind: LayerKind, weights: Int, biases: Int) {
        self.name = name
        self.kind = kind
        self.weights = weights
        self.biases = biases
    }
}
