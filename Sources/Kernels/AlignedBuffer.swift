/// Memory for kernels: zeroed, aligned to 64 bytes, freed with its owner.
public struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable {
    public let pointer: UnsafeMutablePointer<Element>
    public let count: Int

    /// `count` elements whose bytes are all zero.
    public init(zeroed count: Int) {
        precondition(count >= 0, "a buffer of \(count) elements")
        self.count = count
        let byteCount = max(count * MemoryLayout<Element>.stride, 64)
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: 64)
        memory.initializeMemory(as: UInt8.self, repeating: 0, count: byteCount)
        pointer = memory.bindMemory(to: Element.self, capacity: count)
    }

    /// A copy of `elements`.
    public init(copying elements: [Element]) {
        self.init(zeroed: elements.count)
        pointer.update(from: elements, count: elements.count)
    }

    deinit { UnsafeMutableRawPointer(pointer).deallocate() }

    public subscript(index: Int) -> Element {
        get {
            precondition(index >= 0 && index < count, "element \(index) of \(count)")
            return pointer[index]
        }
        nonmutating set {
            precondition(index >= 0 && index < count, "element \(index) of \(count)")
            pointer[index] = newValue
        }
    }

    /// Sets every byte to zero.
    public func clear() {
        UnsafeMutableRawPointer(pointer).initializeMemory(
            as: UInt8.self, repeating: 0, count: count * MemoryLayout<Element>.stride)
    }
}
