import CoordinatorService
import Foundation
import Logging
import Training

/// A store in a folder of its own, for a measurement. A crash may leave the folder behind; its name tells what it was.
struct BenchStore {
    let directory: String

    /// - Parameter folder: on the disk that is measured.
    init(in folder: String) {
        directory = "\(folder)/tombola-bench-\(UInt64.random(in: 0 ... .max))"
    }

    /// Of a coordinator on the store, which makes it where it is not there yet.
    var configuration: CoordinatorServiceConfiguration {
        let catalog = DataCatalog(registry: .standard, folders: [])
        return CoordinatorServiceConfiguration(
            storeDirectory: "\(directory)/store", vocabulary: catalog.vocabulary, data: catalog.access,
            logger: Logger(label: "coordinator"))
    }

    /// A folder that cannot be removed changes no measurement; it stays under the name that tells what it was.
    func remove() { try? FileManager.default.removeItem(atPath: directory) }
}
