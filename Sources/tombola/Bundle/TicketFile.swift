import Lottery
import Training

/// A ticket's file beside what its training came to: what it says of itself, its masks, that nothing pruned has a weight, and
/// that nothing is missing or too much.
struct TicketFile {
    let metadata: [String: String]
    private let tensors: [String: Safetensors.Tensor]

    init(_ bytes: [UInt8]) throws(Safetensors.FormatError) { (tensors, metadata) = try Safetensors.decode(bytes) }

    /// The first thing that is not as the results have it, as a sentence; nil if all is.
    /// - Parameter spec: of the bundle.
    func misfit(with task: TrainingTask, _ summary: LevelSummary, spec: String) -> String? {
        var said = [
            ("density", String(summary.layers.density(prunedAt: task.pruning?.rates))),
            ("surviving", String(summary.layers.reduce(0) { $0 + $1.surviving })),
            ("weights", String(summary.layers.reduce(0) { $0 + $1.weights })),
            ("rewind_step", String(task.firstStep)), ("model", task.model.family),
            ("dataset_digest", task.dataset.hex),
        ]
        if let final = summary.final { said.append(("test_images_seen", String(final.testCount))) }
        for (key, value) in said where metadata[key] != value {
            return "says \(key) \(metadata[key] ?? "nothing"), and the results \(value)"
        }
        guard metadata["spec"] == spec else { return "says another spec than spec.yaml" }
        return masksMisfit(summary.layers) ?? weightsMisfit(summary.layers)
    }

    /// The first thing that is not as an export made here has it, as a sentence; nil if all is.
    func misfit(with recount: Ticket.Recount) -> String? {
        for (name, shape) in recount.shapes.sorted(by: { $0.key < $1.key }) {
            guard let tensor = tensors[name] else { return "has no \(name)" }
            guard tensor.shape == shape else { return "has \(name) of the shape \(tensor.shape), which is \(shape)" }
        }
        if let stray = tensors.keys.filter({ recount.shapes[$0] == nil }).min() {
            return "has \(stray), which is no part of a ticket"
        }
        let said = metadata.filter { key, _ in !["final_digest", "spec", "test_images_right"].contains(key) }
        for key in Set(said.keys).union(recount.metadata.keys).sorted() where said[key] != recount.metadata[key] {
            return "says \(key) \(said[key] ?? "nothing"), and its training \(recount.metadata[key] ?? "nothing")"
        }
        return nil
    }

    private func masksMisfit(_ layers: [LayerCount]) -> String? {
        let names = Set(layers.map { "mask.\($0.name)" })
        if let stray = tensors.keys.filter({ $0.hasPrefix("mask.") && !names.contains($0) }).min() {
            return "has \(stray), which is no layer of the results"
        }
        var hasher = ContentHasher()
        for layer in layers {
            guard let mask = tensors["mask.\(layer.name)"]?.uint8Values, mask.count == layer.weights,
                mask.allSatisfy({ $0 <= 1 })
            else { return "has no mask of \(layer.name) and its \(Format.count(layer.weights)) weights" }
            let surviving = mask.reduce(0) { $0 + Int($1) }
            guard surviving == layer.surviving else {
                return
                    "keeps \(Format.count(surviving)) weights of \(layer.name), and by the results \(Format.count(layer.surviving)) survive"
            }
            hasher.update(mask)
        }
        return hasher.finalize().hex == metadata["mask_digest"] ? nil : "has other masks than its mask_digest says"
    }

    private func weightsMisfit(_ layers: [LayerCount]) -> String? {
        var rewinds = false
        for layer in layers {
            guard let mask = tensors["mask.\(layer.name)"]?.uint8Values else { return nil }  // masksMisfit has looked.
            for kind in ["rewind", "trained"] {
                guard let weights = tensors["\(kind).\(layer.name)"]?.floatValues, weights.count == mask.count else {
                    return "has no \(kind).\(layer.name) of \(Format.count(mask.count)) weights"
                }
                for (weight, bit) in zip(weights, mask) where weight != 0 {
                    guard bit == 1 else { return "has weights in \(kind).\(layer.name) that its mask prunes" }
                    if kind == "rewind" { rewinds = true }
                }
            }
        }
        let survives = layers.contains { $0.surviving > 0 }
        return survives && !rewinds ? "rewinds to weights that are all 0" : nil
    }
}
