import Glibc

/// Memory for kernels: zeroed, aligned to 64 bytes, freed with its owner.
public struct AlignedBuffer<Element: BitwiseCopyable>: ~Copyable {
    public let pointer: UnsafeMutablePointer<Element>
    public let count: Int

    private static var hugePage: Int { 2 << 20 }

    /// `count` elements whose bytes are all zero.
    public init(zeroed count: Int) {
        precondition(count >= 0, "a buffer of \(count) elements")
        self.count = count
        let byteCount = max(count * MemoryLayout<Element>.stride, 64)
        // Batches are read a few lines here and there: with pages of 4 KiB the processor's list of pages runs over, and
        // what it fetches ahead ends at each page. Where there are no huge pages the advice is ignored.
        let isLarge = byteCount >= 2 * Self.hugePage
        let memory = UnsafeMutableRawPointer.allocate(byteCount: byteCount, alignment: isLarge ? Self.hugePage : 64)
        if isLarge { madvise(memory, byteCount, MADV_HUGEPAGE) }
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
