// SPDX-License-Identifier: Apache-2.0

import TinyFormats
import TinySupport

/// An architecture as a value, so that there can be lists of them.
struct KnownArchitecture: Sendable {
    /// What a model's settings say.
    typealias Reading = (config: ModelConfig, scales: FoldedScales, coding: WeightCoding)

    let name: String
    let ggufNames: [String]
    let huggingFaceClass: String
    let hasPublishedCode: Bool
    /// - Throws: `FormatError` naming the key.
    let read: @Sendable (GGUFFields) throws(FormatError) -> Reading
    /// - Throws: `FormatError` naming the field.
    let readHuggingFace: @Sendable (ConfigFields) throws(FormatError) -> Reading
    let ggufTensors: @Sendable (ModelConfig) -> TensorMap
    let huggingFaceTensors: @Sendable (ModelConfig) -> TensorMap

    fileprivate init<A: Architecture>(_ architecture: A.Type) {
        name = A.name
        ggufNames = A.ggufNames
        huggingFaceClass = A.huggingFaceClass
        hasPublishedCode = A.hasPublishedCode
        read = { (fields) throws(FormatError) in
            let config = try A.config(fields)
            return (config, try A.scales(fields, config), .plain)
        }
        readHuggingFace = { (fields) throws(FormatError) in
            let config = try A.config(fields)
            return (config, try A.scales(fields, config), try A.coding(fields))
        }
        ggufTensors = { A.ggufTensors($0) }
        huggingFaceTensors = { A.huggingFaceTensors($0) }
    }
}

extension Architecture {
    static var known: KnownArchitecture { KnownArchitecture(Self.self) }
}
