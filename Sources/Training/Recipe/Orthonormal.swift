import Kernels

/// Modified Gram–Schmidt in f64 on the rows of a matrix, or on its columns if there are more rows: each vector, first
/// to last, is divided by its length and then taken out of those after it. Sums go over elements ascending.
///
/// Sixteen vectors are worked on side by side, one a lane. Every lane meets the same operations in the same order as if
/// vectors were done one by one, so how many there are in a block moves no bit.
enum Orthonormal {
    private typealias Lanes = SIMD16<Double>

    /// The orthonormal factor of `matrix` [rows, columns].
    /// - Complexity: 2 · rows · columns · min(rows, columns) multiply-adds: 0.3 s for 512 × 4,608.
    static func vectors(of matrix: [Double], rows: Int, columns: Int) -> [Double] {
        precondition(matrix.count == rows * columns, "\(matrix.count) values for \(rows) × \(columns)")
        let isTall = rows > columns
        let (count, length) = isTall ? (columns, rows) : (rows, columns)
        // Where element e of vector v is in the matrix: v · step of vectors + e · step of elements.
        let (vectorStep, elementStep) = isTall ? (1, columns) : (columns, 1)
        var vectors = [Double](repeating: 0, count: count * length)
        var block = [Lanes](repeating: .zero, count: length)
        vectors.withUnsafeMutableBufferPointer { vectors in
            block.withUnsafeMutableBufferPointer { block in
                for first in stride(from: 0, to: count, by: Lanes.scalarCount) {
                    let lanes = min(Lanes.scalarCount, count - first)
                    for element in 0..<length {
                        block[element] = .zero
                        for lane in 0..<lanes {
                            block[element][lane] = matrix[(first + lane) * vectorStep + element * elementStep]
                        }
                    }
                    for earlier in 0..<first {
                        takeOut(
                            UnsafeBufferPointer(rebasing: vectors[earlier * length..<(earlier + 1) * length]), of: block
                        )
                    }
                    for lane in 0..<lanes {
                        let place = (first + lane) * length..<(first + lane + 1) * length
                        let vector = UnsafeMutableBufferPointer(rebasing: vectors[place])
                        for element in 0..<length { vector[element] = block[element][lane] }
                        normalise(vector)
                        takeOut(UnsafeBufferPointer(vector), of: block, from: lane + 1)
                    }
                }
            }
        }
        return isTall ? (0..<count * length).map { vectors[$0 % columns * length + $0 / columns] } : vectors
    }

    private static func normalise(_ vector: UnsafeMutableBufferPointer<Double>) {
        var square = 0.0
        for element in vector.indices { square += vector[element] * vector[element] }
        let norm = Reproducible.sqrt(square)
        for element in vector.indices { vector[element] /= norm }
    }

    /// Takes the share of `vector` out of the block's lanes from `lane` on.
    private static func takeOut(
        _ vector: UnsafeBufferPointer<Double>, of block: UnsafeMutableBufferPointer<Lanes>, from lane: Int = 0
    ) {
        var product = Lanes.zero
        for element in vector.indices { product += block[element] * vector[element] }
        for done in 0..<lane { product[done] = 0 }
        for element in vector.indices { block[element] -= product * vector[element] }
    }
}
