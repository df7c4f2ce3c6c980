// SPDX-License-Identifier: Apache-2.0

import TinyRuntime

extension Speculation {
    /// The value of --speculate. A model that drafts is opened as the others are.
    /// - Throws: `Failure`.
    init(_ arguments: Arguments) throws(Failure) {
        switch arguments.string("speculate") {
        case nil, "lookup": self = .promptLookup
        case "off": self = .off
        case "self": self = .selfDraft
        case let path?: self = .draftModel(try Model.open(path, arguments))
        }
    }
}

extension SpeculationActivity {
    /// For human readers.
    var text: String { "drafts: \(accepted) of \(drafted) tokens accepted" }
}
