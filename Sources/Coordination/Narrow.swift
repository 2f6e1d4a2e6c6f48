/// A number that takes the room of `Stored` in a table of millions. One that does not fit becomes the nearest that
/// does.
@propertyWrapper
struct Narrow<Stored: FixedWidthInteger & Sendable>: Sendable {
    private var stored: Stored

    init(wrappedValue: Int) { stored = Stored(clamping: wrappedValue) }

    var wrappedValue: Int {
        get { Int(stored) }
        set { stored = Stored(clamping: newValue) }
    }
}
