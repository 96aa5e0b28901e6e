//! Sparse gradients with an optimizer that cannot use them: said before training, with the option that asks for them.

use kiwi_tests::workplace::Workplace;
use serde_json::json;

const SOURCE: &str = "system.model.encoder.embeddings.source.sparse_embeddings";
const TARGET: &str = "system.model.encoder.embeddings.target.sparse_embeddings";

#[test]
fn an_optimizer_that_refuses_them_is_found_out_before_training() {
    let work = Workplace::new();
    let refused = work.try_train("run", &[(SOURCE, json!(true)), (TARGET, json!(true))]).ends_with(2).says(&[
        "`PredictorEncoder` with embeddings.source.sparse_embeddings gives \
         `encoder.embeddings.source.embedding.weight` a sparse gradient, which the optimizer `adam` cannot use",
        "embeddings.target.sparse_embeddings gives `encoder.embeddings.target.embedding.weight`",
        SOURCE,
        "set system.model.encoder.embeddings.source.sparse_embeddings to false",
    ]);
    assert_eq!(refused.stderr.matches("error[E").count(), 2, "{refused}");
    assert!(!work.at("run").exists(), "nothing was begun");
}

#[test]
fn tables_without_a_sparse_gradient_are_no_matter() {
    let work = Workplace::new();
    // A frozen table has no gradient, and that of a shared one is dense.
    let frozen = [
        (SOURCE, json!(true)),
        ("system.model.encoder.embeddings.source.freeze", json!(true)),
        (TARGET, json!(true)),
        ("system.model.encoder.share_embeddings", json!(true)),
        ("system.model.encoder.out_embeddings_dim", json!(null)),
        ("trainer.gradient_max_norm", json!(1.0)),
        ("trainer.max_steps", json!(3)),
    ];
    let _ = work.train("run", &frozen);
}

#[test]
fn an_optimizer_that_takes_them_learns_the_same() {
    let work = Workplace::new();
    // Plain gradient descent, which adds gradients of any layout.
    let plain = [
        ("system.optimizer.class_name", json!("MisbehavingOptimizer")),
        ("system.optimizer.learning_rate", json!(0.01)),
        ("trainer.gradient_max_norm", json!(1.0)),
        ("trainer.gradient_accumulation_steps", json!(3)),
        ("trainer.epochs", json!(2)),
    ];
    let sparse = [(SOURCE, json!(true)), (TARGET, json!(true))];
    let dense = work.train("dense", &plain);
    let sparse = work.train("sparse", &[&plain[..], &sparse].concat());
    let (dense, sparse) = (dense.validations(), sparse.validations());
    assert!(dense[1].value("val_loss") < dense[0].value("val_loss"), "{dense:?}");
    for (dense, sparse) in dense.iter().zip(&sparse) {
        let (dense, sparse) = (dense.value("val_loss"), sparse.value("val_loss"));
        assert!((dense - sparse).abs() < 1e-3 * dense, "{sparse} and not {dense}");
    }
}
