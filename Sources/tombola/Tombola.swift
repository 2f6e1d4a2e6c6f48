import ArgumentParser
import Logging
import Rainbow
import TextTable

@main
struct Tombola: ParsableCommand {
    static let configuration = CommandConfiguration(commandName: "tombola")
}
