//! The ledger: held, settled, given back, waited for, warned of, begun anew.

use uuid::Uuid;

use super::*;
use crate::{
    api::{BudgetOf, ModelRef, Usage},
    machine::Room as _,
};

const DAY: i64 = 86_400;

fn at(seconds: i64) -> Timestamp {
    // A day in the middle of a month.
    Timestamp::from_second(1_800_000_000 / DAY * DAY + seconds).unwrap()
}

fn user(number: u128) -> UserId {
    UserId::from_uuid(Uuid::from_u128(number))
}

fn task(number: u128) -> TaskId {
    TaskId::from_uuid(Uuid::from_u128(number))
}

fn tokens(tokens: u64) -> Amounts {
    Amounts { tokens, micro_usd: 0 }
}

fn of_tokens(user_day: Option<u64>, all_month: Option<u64>) -> Arc<Ledger> {
    let allowance = |tokens| Allowance { tokens, micro_usd: None };
    let periods = |day, month| Periods { day: allowance(day), month: allowance(month) };
    let budgets = SharedBudgets { user: periods(user_day, None), installation: periods(None, all_month) };
    ledger_of(budgets)
}

fn ledger_of(budgets: SharedBudgets) -> Arc<Ledger> {
    Arc::new(Ledger::new(Bounds::new(budgets, &RoleQuotas::default()), Arc::new(|_| Role::User)))
}

fn spent(seconds: i64, tokens: u64) -> Spent {
    let model = ModelRef { provider: "p".to_owned(), model: "m".to_owned() };
    let on = at(seconds).to_zoned(jiff::tz::TimeZone::UTC).date();
    Spent { on, model, agent: "a".to_owned(), usage: Usage { input_tokens: tokens, ..Usage::default() } }
}

/// Asks for room for a call as the machine does for a task that has taken nothing in this decision.
fn check(room: &LiveRoom, call: Amounts) -> Result<(), Short> {
    let wanted = Wanted { call, is_priced: false, before: Amounts::default(), now: Amounts::default() };
    room.check(&"a".parse().unwrap(), wanted)
}

fn take(ledger: &Arc<Ledger>, by: UserId, seconds: i64, call: u64) -> Result<Held, Short> {
    let room = ledger.room(by, at(seconds));
    check(&room, tokens(call))?;
    Ok(ledger.hold(&room, tokens(call)).expect("nobody else is there"))
}

#[test]
fn nothing_is_limited_unless_it_is_said() {
    let ledger = of_tokens(None, None);
    assert!(!ledger.is_bounded());
    assert!(take(&ledger, user(1), 0, u64::MAX).is_ok());
    assert_eq!(ledger.describe(user(1), at(0)), []);
}

#[test]
fn what_is_held_set_aside_and_used_counts_once_for_the_user_and_once_for_all() {
    let ledger = of_tokens(Some(100), Some(150));
    let held = take(&ledger, user(1), 0, 80).unwrap();
    let short = take(&ledger, user(1), 0, 30).err().unwrap();
    assert_eq!((short.of, short.limit, short.until), (BudgetOf::UserDay, BudgetLimit::Tokens, Some(at(DAY))));
    let said = "the next call may use 30 tokens; 0 tokens of the user's budget for the day (100 tokens) are used and \
                80 tokens set aside";
    assert_eq!(short.detail, said);
    assert_eq!(take(&ledger, user(2), 0, 80).err().unwrap().of, BudgetOf::InstallationMonth);

    // Journaled: it moves, and counts once.
    ledger.settle(user(1), vec![held], at(0), [tokens(0), tokens(80)], &[]);
    assert!(take(&ledger, user(1), 0, 21).is_err());
    assert!(take(&ledger, user(1), 0, 20).is_ok(), "and what was held is free again when it is dropped");
    assert!(take(&ledger, user(1), 0, 20).is_ok());
    // Settled: what was not used is there again.
    ledger.settle(user(1), Vec::new(), at(0), [tokens(80), tokens(0)], &[spent(0, 50)]);
    assert!(take(&ledger, user(1), 0, 51).is_err());
    let stands = ledger.describe(user(1), at(0));
    let used: Vec<_> = stands.iter().map(|item| (item.of, item.most, item.used, item.reserved)).collect();
    assert_eq!(used, [(BudgetOf::UserDay, 100, 50, 0), (BudgetOf::InstallationMonth, 150, 50, 0)]);
    assert_eq!(ledger.describe(user(2), at(0))[0].used, 0);
}

#[test]
fn of_two_that_decide_at_once_the_slower_one_decides_again() {
    let ledger = of_tokens(Some(100), None);
    let rooms = [ledger.room(user(1), at(0)), ledger.room(user(1), at(0))];
    for room in &rooms {
        check(room, tokens(60)).unwrap();
    }
    let _held = ledger.hold(&rooms[0], tokens(60)).unwrap();
    assert!(ledger.hold(&rooms[1], tokens(60)).is_err());
    // What fits all the same need not be decided again, nor what takes nothing.
    assert!(ledger.hold(&rooms[1], tokens(40)).is_ok());
    assert!(ledger.hold(&rooms[1], tokens(0)).is_ok());
}

#[test]
fn a_new_day_begins_with_nothing_used_and_a_month_goes_on() {
    let ledger = of_tokens(Some(100), Some(150));
    ledger.settle(user(1), Vec::new(), at(10), [tokens(0); 2], &[spent(10, 100)]);
    assert!(take(&ledger, user(1), DAY - 1, 1).is_err());
    assert!(take(&ledger, user(1), DAY, 50).is_ok());
    assert_eq!(take(&ledger, user(1), DAY, 51).err().unwrap().of, BudgetOf::InstallationMonth);
    assert!(take(&ledger, user(1), 40 * DAY, 100).is_ok());
    // What is set aside is for now, whenever it was.
    ledger.take_over(user(1), tokens(70));
    assert!(take(&ledger, user(1), 40 * DAY, 31).is_err());
    ledger.give_back(user(1), task(1), tokens(70), at(40 * DAY));
    assert!(take(&ledger, user(1), 40 * DAY, 100).is_ok());
}

#[test]
fn those_that_wait_are_told_in_order_and_no_more_than_there_is_room_for() {
    let ledger = of_tokens(Some(100), None);
    ledger.take_over(user(1), tokens(100));
    for number in 1..=3 {
        assert_eq!(ledger.queue(task(number), user(1), vec![tokens(40)], at(0)), []);
    }
    // Asked for once more, it keeps its place and wants what it wants now.
    assert_eq!(ledger.queue(task(1), user(1), vec![tokens(45)], at(0)), []);
    let others = ledger.queue(task(9), user(2), vec![tokens(100)], at(0));
    assert_eq!(others, [task(9)], "there is room for another user's");
    let (ready, _) = ledger.settle(user(1), Vec::new(), at(0), [tokens(100), tokens(10)], &[]);
    assert_eq!(ready, [task(1), task(2)]);
    let (ready, _) = ledger.settle(user(1), Vec::new(), at(0), [tokens(10), tokens(61)], &[]);
    assert_eq!(ready, []);
    let (ready, _) = ledger.settle(user(1), Vec::new(), at(0), [tokens(61), tokens(60)], &[]);
    assert_eq!(ready, [task(3)]);
}

#[test]
fn most_of_a_limit_is_told_once_in_its_period() {
    let ledger = of_tokens(Some(100), None);
    let use_up = |seconds, amount| {
        let (_, warnings) = ledger.settle(user(1), Vec::new(), at(seconds), [tokens(0); 2], &[spent(seconds, amount)]);
        warnings
    };
    assert_eq!(use_up(0, 79), []);
    let warning = Warning { of: BudgetOf::UserDay, limit: BudgetLimit::Tokens, used: 80, most: 100 };
    assert_eq!(use_up(1, 1), [warning]);
    assert_eq!(use_up(2, 5), []);
    assert_eq!(use_up(DAY, 100).len(), 1);
}

#[test]
fn money_is_no_limit_for_what_has_no_price() {
    let day = Allowance { micro_usd: Some(1_000_000), tokens: None };
    let user_budgets = Periods { day, ..Periods::default() };
    let budgets = SharedBudgets { user: user_budgets, ..SharedBudgets::default() };
    let ledger = ledger_of(budgets);
    assert!(ledger.is_in_money(user(1)));
    let room = ledger.room(user(1), at(0));
    let short = check(&room, tokens(5)).unwrap_err();
    assert_eq!(short.detail, "the price of its model is not known, and the user's budget for the day is in money");
    assert_eq!(short.until, None);
    assert_eq!(room.into_refused(), [], "it does not wait for what others give back");
}

#[test]
fn one_that_goes_on_by_itself_keeps_no_room_from_those_behind_it() {
    let ledger = of_tokens(Some(100), None);
    ledger.take_over(user(1), tokens(60));
    for number in 1..=2 {
        assert_eq!(ledger.queue(task(number), user(1), vec![tokens(60)], at(0)), []);
    }
    // The first one is told that there is room, and wants none any more: it was cancelled meanwhile.
    assert_eq!(ledger.settle(user(1), Vec::new(), at(0), [tokens(60), tokens(0)], &[]).0, [task(1)]);
    assert_eq!(ledger.queue(task(1), user(1), Vec::new(), at(0)), [task(2)]);
    assert_eq!(ledger.queue(task(2), user(1), Vec::new(), at(0)), []);
    let books = ledger.books();
    assert!(books.is_empty(), "{books:?}");
}

#[test]
fn one_that_is_ended_from_outside_makes_room() {
    let ledger = of_tokens(Some(100), None);
    ledger.take_over(user(1), tokens(60));
    for number in 1..=2 {
        ledger.queue(task(number), user(1), vec![tokens(60)], at(0));
    }
    assert_eq!(ledger.give_back(user(1), task(1), tokens(60), at(0)), [task(2)]);
}

#[test]
fn room_for_any_call_of_a_task_is_enough_and_what_never_fits_is_not_waited_for() {
    let ledger = of_tokens(Some(100), Some(150));
    ledger.take_over(user(1), tokens(90));
    ledger.queue(task(1), user(1), vec![tokens(95), tokens(20)], at(0));
    assert_eq!(ledger.settle(user(1), Vec::new(), at(0), [tokens(90), tokens(80)], &[]).0, [task(1)]);

    let room = ledger.room(user(2), at(0));
    let short = check(&room, tokens(101)).unwrap_err();
    let said = "the next call may use 101 tokens, more than the user's budget for the day (100 tokens)";
    assert_eq!((short.detail.as_str(), short.until), (said, None));
    assert_eq!(room.into_refused(), []);
}

#[test]
fn what_came_back_between_looking_and_waiting_is_found() {
    let ledger = of_tokens(Some(100), None);
    ledger.take_over(user(1), tokens(60));
    let room = ledger.room(user(1), at(0));
    check(&room, tokens(60)).unwrap_err();
    ledger.settle(user(1), Vec::new(), at(0), [tokens(60), tokens(0)], &[]);
    assert_eq!(ledger.queue(task(1), user(1), room.into_refused(), at(0)), [task(1)]);
}

#[tokio::test]
async fn roles_have_quotas_that_count_from_the_moment_they_are_changed() {
    let folder = tempfile::tempdir().unwrap();
    let store: Arc<dyn Store> = Arc::new(crate::journal::memory::MemoryStore::open(folder.path()).unwrap());
    let role_of: RoleOf = Arc::new(|of| if of == user(1) { Role::User } else { Role::Premium });
    let quotas = |user_day| {
        let user = crate::api::Quotas { tokens_per_day: user_day, ..crate::api::Quotas::default() };
        RoleQuotas { user, ..RoleQuotas::default() }
    };
    let ledger = Ledger::open(SharedBudgets::default(), &quotas(None), role_of, store.as_ref());
    let ledger = Arc::new(ledger.unwrap());
    assert!(!ledger.is_bounded());
    assert_eq!(ledger.change(&quotas(Some(100)), &store, at(0)).await.unwrap(), []);
    assert!(ledger.is_bounded());
    let held = take(&ledger, user(1), 0, 80).unwrap();
    assert!(take(&ledger, user(1), 0, 30).is_err());
    assert!(take(&ledger, user(2), 0, 1_000).is_ok(), "another role");
    // One that waits goes on when there is more for its role.
    assert_eq!(ledger.queue(task(1), user(1), vec![tokens(30)], at(0)), []);
    assert_eq!(ledger.change(&quotas(Some(110)), &store, at(0)).await.unwrap(), [task(1)]);
    drop(held);
    assert_eq!(ledger.change(&quotas(None), &store, at(0)).await.unwrap(), []);
    assert!(!ledger.is_bounded());
}

#[test]
fn the_narrower_of_two_limits_for_the_same_thing_counts() {
    let shared = Periods { day: Allowance { tokens: Some(100), micro_usd: Some(5) }, ..Periods::default() };
    let quotas = crate::api::Quotas {
        tokens_per_day: Some(50),
        cost_micro_usd_per_day: Some(9),
        tokens_per_month: Some(7),
        ..crate::api::Quotas::default()
    };
    let quotas = RoleQuotas { premium: quotas, ..RoleQuotas::default() };
    let bounds = Bounds::new(SharedBudgets { user: shared, ..SharedBudgets::default() }, &quotas);
    let most = |role| bounds.limits(role).iter().map(|limit| limit.most).collect::<Vec<_>>();
    assert_eq!((most(Role::User), most(Role::Premium)), (vec![5, 100], vec![5, 50, 7]));
}
