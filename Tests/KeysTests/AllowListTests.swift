import Keys
import Testing
import ZeroMQ

@Suite("The allow-list")
struct AllowListTests {
    private let keys: [CurvePublicKey] = (1...3).map { CurvePublicKey(bytes: [UInt8](repeating: $0, count: 32)) }

    @Test("Comments, empty lines, tabs and keys with a # are read; the text of a list reads as that list")
    func reads() throws {
        let hash = try #require(CurvePublicKey(keys[0].text.dropLast() + "#"))
        let list = try AllowList(
            "# mine\n\nworker gpu-1 \(keys[0])\n  \nclient\tlaptop\t\(hash)\r\n#worker no \(keys[2])\n", file: "f")
        #expect(list.entries.map(\.name.text) == ["gpu-1", "laptop"])
        #expect(list[keys[0]]?.role == .worker && list[hash]?.role == .client && list[keys[2]] == nil)
        #expect(try AllowList(list.text, file: "f") == list)
        var edited = list
        try edited.remove(KeyName("gpu-1"))
        try edited.add(AllowList.Entry(role: .worker, name: KeyName("new"), publicKey: keys[0]))
        #expect(edited.text == "# mine\n\n  \nclient laptop \(hash)\n#worker no \(keys[2])\nworker new \(keys[0])\n")
        #expect(try AllowList("", file: "f") == AllowList())
    }

    @Test("A line that is none is named by file and number, and nothing of the text counts")
    func badLines() throws {
        let good = "worker a \(keys[0])\n"
        for bad in [
            "worker b", "king b \(keys[1])", "worker b \(keys[1]) x", "worker ../b \(keys[1])", "worker b notakey",
            "worker a \(keys[1])", "client c \(keys[0])", "\(keys[1])", "worker b \(keys[1].text.dropLast())",
        ] {
            do {
                _ = try AllowList(good + "\n" + bad + "\n", file: "keys/authorized")
                Issue.record("accepted: \(bad)")
            } catch { #expect(error.description.hasPrefix("keys/authorized:3: "), "\(error)") }
        }
    }
}
