/// The version of the program; stores and wire frames have versions of their own.
enum Version {
    static let text = "0.2.0"
}
