import Foundation
import Lottery
import Sweeps

/// What clients may ask of a coordinator, by the verb of a `ClientRequest`. Bodies are JSON.
public enum ServiceVerb: String, Sendable, CaseIterable {
    /// `SubmitRequest` → `SubmitReply`.
    case submit
    /// Nothing → `ServiceStatus`.
    case status
    /// `LeaderboardRequest` → an array of `Leaderboard`.
    case leaderboard
}

public struct SubmitRequest: Hashable, Sendable, Codable {
    /// What errors call the spec.
    public var file: String
    /// YAML.
    public var spec: String
    /// Whether a person has said that they mean more than `Sweep.runsWithoutConsent` runs.
    public var consents: Bool

    public init(file: String, spec: String, consents: Bool = false) {
        self.file = file
        self.spec = spec
        self.consents = consents
    }
}

public struct SubmitReply: Hashable, Sendable, Codable {
    public var sweep: String
    /// The store had it already, with the same spec.
    public var isContinued: Bool
    public var plan: PlanSummary

    private enum CodingKeys: String, CodingKey {
        case sweep, plan
        case isContinued = "is_continued"
    }
}

public struct LeaderboardRequest: Hashable, Sendable, Codable {
    /// Nil for all sweeps.
    public var sweep: String?

    public init(sweep: String? = nil) { self.sweep = sweep }
}

/// The body of a reply whose status is not 0.
public struct ServiceRefusal: Hashable, Sendable, Codable {
    /// One sentence for people.
    public var error: String

    public init(error: String) { self.error = error }
}
