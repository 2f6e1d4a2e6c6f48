import Kernels

/// What layers over maps that have no weights have in common.
class MapLayer {
    let shape: PlanesShape
    let x, y: BatchMemory
    let kernels: any MapKernels
    /// By channel of the input.
    var inputsInUse: [Bool]

    init(_ place: LayerPlace) {
        shape = planes(place.input)
        x = place.x
        y = place.y
        kernels = place.engine.mapKernels
        inputsInUse = Array(repeating: true, count: shape.channels)
    }
}

func planes(_ input: FeatureShape) -> PlanesShape {
    guard case .planes(let shape) = input else { preconditionFailure("maps are wanted, not \(input)") }
    return shape
}
