import Lottery
import Sweeps
import Testing

@Suite struct ExcludeTests {
    private func points(excluding rules: String) throws -> [String] {
        let sweep = try sweep(
            """
            name: a
            training: {iterations: 10000}
            grid: {lr: [0.01, 0.1], warmup: [0, 500], optimizer: [adam, sgd]}
            exclude: [\(rules)]
            """)
        return sweep.points.map { $0.values.map(\.description).joined(separator: " ") }
    }

    @Test("A rule leaves out the points that meet it")
    func rules() throws {
        #expect(try points(excluding: "").count == 8)
        #expect(try points(excluding: "'lr == 0.01 && warmup > 0'").count == 6)
        #expect(
            try points(excluding: #"'optimizer == "sgd"'"#) == [
                "0.01 0 adam", "0.01 500 adam", "0.1 0 adam", "0.1 500 adam",
            ])
        #expect(try points(excluding: #"'!(optimizer == "sgd" || lr >= 1e-1)'"#).count == 6)
        #expect(try points(excluding: "'warmup != 0', 'lr<0.1'") == ["0.1 0 adam", "0.1 0 sgd"])
        #expect(try points(excluding: "'training.warmup <= -1 || lr > warmup'").count == 4)
        // && binds tighter than ||.
        #expect(try points(excluding: "'lr == 0.1 || lr == 0.01 && warmup == 500'") == ["0.01 0 adam", "0.01 0 sgd"])
    }

    @Test("Numbers are numbers however they are written; an axis with one value that is none compares as text")
    func kinds() throws {
        let grouped = try sweep("name: a\ngrid: {iterations: [1_000, 20_000]}\nexclude: ['iterations > 10000']")
        #expect(grouped.points.map(\.settings.training.iterations) == [1_000])
        let mixed = try sweep(
            "name: a\ngrid: {prune_rate: [0.2, {fc: 0.3, output: 0.1}, 0.4]}\nexclude: [prune_rate == '0.2']")
        #expect(mixed.points.map { $0.values[0].description } == ["{fc: 0.3, output: 0.1}", "0.4"])
    }

    @Test(
        "A mistake in a rule is placed in the spec's line",
        arguments: [
            ("lr = 0.1", #"does not understand "="; write "==" (at its letter 4)"#),
            ("lr == ", "expects an axis, a number or a text at its end (at its letter 7)"),
            ("lr", "expects a comparison (==, !=, <, <=, >, >=) at its end (at its letter 3)"),
            ("lrr > 1", #"speaks of an unknown axis "lrr"; did you mean "lr"? (at its letter 1)"#),
            (
                "depth > 1",
                #"speaks of "depth", which is no axis of this sweep; axes are lr, optimizer (at its letter 1)"#
            ),
            (
                "optimizer == adam",
                #"speaks of an unknown axis "adam"; axes are lr, optimizer, and texts stand in quotes (at its letter 14)"#
            ),
            ("optimizer < 'b'", "can ask of texts only whether they are == or != (at its letter 11)"),
            ("optimizer == 3", "compares a number with a text (at its letter 1)"),
            ("0 < lr < 1", "compares two things at a time; join comparisons with && (at its letter 8)"),
            ("(lr > 1", #"expects ")" at its end (at its letter 8)"#),
            ("lr > 1)", #"does not expect ")" here (at its letter 7)"#),
            ("lr > 1 & lr < 2", #"does not understand "&"; write "&&" (at its letter 8)"#),
            ("optimizer == 'sgd", "has a text without closing ' (at its letter 14)"),
            ("lr > 1.2.3", #"has "1.2.3", which is no number (at its letter 6)"#),
            ("", "expects an axis, a number or a text at its end (at its letter 1)"),
        ])
    func mistakes(rule: String, expected: String) {
        let yaml = "name: a\ngrid: {lr: [0.01, 0.1], optimizer: [adam, sgd]}\nexclude:\n- |-\n  \(rule)"
        #expect(refusal(yaml) == "sweeps/x.yaml:4: exclude \"\(rule)\" \(expected)")
    }

    @Test("Nested brackets end in an error, not in an exhausted stack")
    func nesting() {
        let rule = String(repeating: "!", count: 50_000) + "lr > 1"
        #expect(refusal("name: a\ngrid: {lr: [1]}\nexclude: ['\(rule)']").contains("is nested too deep"))
        let brackets = String(repeating: "(", count: 120) + "lr > 1"
        #expect(refusal("name: a\ngrid: {lr: [1]}\nexclude: ['\(brackets)']").contains("is nested too deep"))
    }
}
