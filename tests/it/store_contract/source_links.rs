//! Whose an order is, as a help desk said.

use super::bed::{after_s, know, on_both};

#[tokio::test]
async fn a_customer_is_remembered_under_a_name_of_one_source_until_they_are_forgotten() {
    on_both(async |bed| {
        let store = &bed.store;
        know(store, &["C-1", "C-2"]).await;
        let whose = async |source: &str, name: &str| {
            let found = store.remembered_customer(source, name).await.expect("the store is there");
            found.map(|customer| customer.0)
        };
        assert_eq!(whose("shop", "order/1").await, None);
        for (name, customer) in [("order/1", "C-1"), ("order/2", "C-1"), ("order/2", "C-2")] {
            let done = store.remember_customer("shop", name, &customer.into(), after_s(1)).await;
            done.expect("the store is there");
        }
        assert_eq!(whose("shop", "order/1").await.as_deref(), Some("C-1"));
        assert_eq!(whose("shop", "order/2").await.as_deref(), Some("C-2"), "the last word holds");
        assert_eq!(whose("desk", "order/1").await, None, "names are the source's own");
        store.erase(&"C-1".into(), "test", after_s(2)).await.expect("known");
        assert_eq!(whose("shop", "order/1").await, None);
        assert_eq!(whose("shop", "order/2").await.as_deref(), Some("C-2"));
    })
    .await;
}
