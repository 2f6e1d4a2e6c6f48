import Coordination
import CoordinatorService
import Testing

@Suite("Room on the store's disk")
struct RoomTests {
    /// What looks at these free bytes of a disk of `size` say, one after the other.
    private func turns(minimum: Int?, size: Int, free: [Int]) -> [Room.Turn?] {
        var left = free[...]
        var now = Instant(milliseconds: 0)
        var room = Room(minimum: minimum, at: now) { (left.removeFirst(), size) }
        return free.map { _ in
            defer { now = room.nextLook }
            return room.tend(at: now)
        }
    }

    @Test("Short below the limit, and enough again an eighth above it")
    func hysteresis() {
        #expect(
            turns(minimum: 800, size: 10_000, free: [900, 799, 700, 800, 899, 900, 799])
                == [nil, .short(free: 799, wanted: 800), nil, nil, nil, .enough, .short(free: 799, wanted: 800)])
    }

    @Test("The default is a GiB, or a twentieth of a smaller disk; 0 is never short")
    func limits() {
        let gibibyte = 1 << 30
        #expect(
            turns(minimum: nil, size: 1_000 * gibibyte, free: [gibibyte, gibibyte - 1]).compactMap(\.self).count == 1)
        #expect(turns(minimum: nil, size: 2_000, free: [100, 99]) == [nil, .short(free: 99, wanted: 100)])
        #expect(turns(minimum: 0, size: 2_000, free: [0, 0]) == [nil, nil])
    }

    @Test("It looks once in a while, and what cannot be told changes nothing")
    func looks() {
        var looks = 0
        var room = Room(minimum: 5, at: Instant(milliseconds: 0)) {
            looks += 1
            return nil
        }
        for milliseconds in stride(from: Int64(0), to: 2 * Room.lookMilliseconds, by: 100) {
            #expect(room.tend(at: Instant(milliseconds: milliseconds)) == nil)
        }
        #expect(looks == 2)
    }
}
