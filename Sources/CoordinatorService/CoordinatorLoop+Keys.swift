import Coordination
import Keys
import Logging
import Wire
import ZeroMQ

/// Peers whose keys are not, or no longer, good for what they say.
extension CoordinatorLoop {
    /// Reads the allow-list again; workers whose key is not on it any more are told so and lose what they hold.
    func reloadKeys() throws(CoordinatorServiceError) {
        hangup?.doorbell.silence()
        gate.reload()
        forgetOldRoutes()
        for (route, sender) in senders.sorted(by: { $0.key < $1.key }) {
            if let refusal = gate.refusal(of: sender, actingAs: .worker) { try receive(refusal, from: route) }
        }
    }

    /// Answers in words, and sees to it that nothing is sent there any more.
    func receive(_ refusal: Gate.Refusal, from route: RouteID) throws(CoordinatorServiceError) {
        senders[route] = nil
        _ = try send(Wire.encodeRefusal(reason: refusal.reason), to: route)
        apply(.expelled(route))
        if let count = refused.admit(at: CoordinatorLoop.now) {
            logger.warning("a message was refused (\(count) so far): \(refusal.reason)")
        }
    }

    func remember(_ sender: CurvePublicKey, of route: RouteID) {
        guard senders[route] == nil else { return }
        // Every reconnection is a route of its own, and the old ones are sent nothing any more.
        if senders.count >= 2 * Limits.workers { forgetOldRoutes() }
        senders[route] = sender
    }

    private func forgetOldRoutes() { senders = senders.filter { coordinator.hasSession($0.key) } }
}
