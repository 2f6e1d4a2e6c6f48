import Foundation
import Lottery
import Testing

@Suite struct ResultOriginTests {
    @Test("An origin is read as it was written, and as versions wrote it that knew no processor's name")
    func text() throws {
        let origin = ResultOrigin(
            program: "0.2.0", machine: "node-1", processor: "avx512", processorModel: "AMD EPYC\n7B13")
        let read = try #require(ResultOrigin(text: origin.text))
        #expect(read.processorModel == "AMD EPYC 7B13" && read.text == origin.text)
        let old = try #require(ResultOrigin(text: "0.1.0\nnode-1\navx2"))
        #expect(old == ResultOrigin(program: "0.1.0", machine: "node-1", processor: "avx2"))
        #expect(old.text == "0.1.0\nnode-1\navx2")
        for text in ["", "0.1.0\nnode-1", "0.2.0\nnode-1\navx2\nEPYC\nmore"] {
            #expect(ResultOrigin(text: text) == nil)
        }
    }

    @Test("JSON without a processor's name is read")
    func json() throws {
        let text = #"{"program": "0.1.0", "machine": "node-1", "processor": "avx2"}"#
        let origin = try JSONDecoder().decode(ResultOrigin.self, from: Data(text.utf8))
        #expect(origin == ResultOrigin(program: "0.1.0", machine: "node-1", processor: "avx2"))
    }
}
