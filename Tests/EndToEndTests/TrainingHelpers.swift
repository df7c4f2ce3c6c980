// SPDX-License-Identifier: Apache-2.0

import Foundation
import TinySparse
import TinyTraining

/// The text that tests train with. On a random model's few tokens it is chance how the search for a price ends, so with
/// another text tests may need other bounds.
let trainingText = try! Array(
    Data(contentsOf: packageFolder.appendingPathComponent("Tests/EndToEndTests/Fixtures/training-text.txt")))

extension GoldenModel {
    /// Trains predictors with `trainingText`, and writes a model with them.
    func train(
        _ options: PredictorOptions, to path: String, report: @escaping (TrainingEvent) -> Bool
    ) throws -> TrainingResult {
        let training = try PredictorTraining(
            model, text: trainingText, options, statePath: path + ".state", report: report)
        return try training.run(to: path)
    }
}
