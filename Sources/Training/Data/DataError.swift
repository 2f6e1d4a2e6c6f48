/// Why a data set cannot be used: one sentence with the place and the remedy.
public struct DataError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// No data set of that name is registered.
        case unknown
        /// None of the folders holds it.
        case missing
        /// Its files are there, and are not what they should be.
        case malformed
        /// A file could not be read or written.
        case file
        /// No mirror gave the published file.
        case network
    }

    public let kind: Kind
    public let description: String

    public init(_ kind: Kind, _ description: String) {
        self.kind = kind
        self.description = description
    }

    init(_ error: FileError) { self.init(.file, error.description) }
}
