use proptest::prelude::*;
use uuid::Uuid;

use super::*;

const HERE: ProjectId = ProjectId(Uuid::from_u128(1));
const THERE: ProjectId = ProjectId(Uuid::from_u128(2));
const ELSEWHERE: ProjectId = ProjectId(Uuid::from_u128(3));

fn member(role: Role) -> Rights {
    Rights { is_admin: false, roles: BTreeMap::from([(HERE, role), (THERE, Role::Viewer)]), limit: None }
}

fn limited(rights: Rights, scopes: &[Scope], project: Option<ProjectId>) -> Rights {
    Rights { limit: Some(TokenLimit { scopes: scopes.to_vec(), project }), ..rights }
}

#[test]
fn words_are_read_back() {
    for role in Role::ALL {
        assert_eq!(role.as_str().parse(), Ok(role));
        assert_eq!(serde_json::to_value(role).unwrap(), role.as_str());
    }
    for scope in Scope::ALL {
        assert_eq!(scope.as_str().parse(), Ok(scope));
        assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
    }
    let error = "owner".parse::<Role>().unwrap_err().to_string();
    assert_eq!(error, "there is no role `owner`; write one of viewer, runner, maintainer, admin");
    let error = "all".parse::<Scope>().unwrap_err().to_string();
    assert!(error.contains("registry:write"), "{error}");
}

#[test]
fn a_role_may_do_what_the_lesser_ones_may_and_no_more() {
    for has in Role::ALL {
        for needed in Role::ALL {
            let answer = member(has).check(Area::Api, HERE, needed);
            assert_eq!(answer, if has >= needed { Ok(()) } else { Err(Denied::Role { has, needed }) });
        }
    }
}

#[test]
fn who_is_no_member_learns_nothing() {
    assert_eq!(member(Role::Admin).check(Area::Api, ELSEWHERE, Role::Viewer), Err(Denied::Hidden));
    assert_eq!(member(Role::Admin).role(Area::Api, ELSEWHERE), None);
    assert_eq!(
        member(Role::Admin).check(Area::Api, THERE, Role::Admin),
        Err(Denied::Role { has: Role::Viewer, needed: Role::Admin })
    );
    assert_eq!(member(Role::Admin).visible_projects(Area::Api), Some(vec![HERE, THERE]));
}

#[test]
fn an_admin_of_the_organization_is_admin_everywhere() {
    let admin = Rights { is_admin: true, ..Rights::default() };
    assert_eq!(admin.check(Area::Api, ELSEWHERE, Role::Admin), Ok(()));
    assert_eq!(admin.check_organization(Area::Api, Role::Admin), Ok(()));
    assert_eq!(admin.visible_projects(Area::Api), None);
    assert_eq!(member(Role::Admin).check_organization(Area::Api, Role::Viewer), Ok(()));
    assert_eq!(
        member(Role::Admin).check_organization(Area::Api, Role::Runner),
        Err(Denied::Role { has: Role::Viewer, needed: Role::Runner })
    );
}

#[test]
fn a_token_does_less_than_its_user() {
    let reader = limited(member(Role::Maintainer), &[Scope::Read], None);
    assert_eq!(reader.check(Area::Api, HERE, Role::Viewer), Ok(()));
    assert_eq!(reader.check(Area::Api, HERE, Role::Runner), Err(Denied::Scope { needed: Role::Runner }));
    assert_eq!(
        reader.check(Area::Api, HERE, Role::Admin),
        Err(Denied::Role { has: Role::Maintainer, needed: Role::Admin })
    );
    assert_eq!(reader.role(Area::Api, HERE), Some(Role::Viewer));
    assert!(Denied::Scope { needed: Role::Runner }.hint().contains("`run`"));
    let useless = limited(member(Role::Admin), &[], None);
    assert_eq!(useless.check(Area::Api, HERE, Role::Viewer), Err(Denied::Scope { needed: Role::Viewer }));
    assert_eq!(useless.visible_projects(Area::Api), Some(Vec::new()));
}

#[test]
fn a_token_for_one_project_hides_the_others() {
    let bound = limited(Rights { is_admin: true, ..Rights::default() }, &[Scope::Admin], Some(HERE));
    assert_eq!(bound.check(Area::Api, HERE, Role::Admin), Ok(()));
    assert_eq!(bound.check(Area::Api, THERE, Role::Viewer), Err(Denied::Hidden));
    assert_eq!(bound.check_organization(Area::Api, Role::Viewer), Err(Denied::Bound));
    assert_eq!(bound.organization_role(Area::Api), None);
    assert_eq!(bound.visible_projects(Area::Api), Some(vec![HERE]));
    let bound = limited(member(Role::Runner), &[Scope::Run], Some(THERE));
    assert_eq!(bound.visible_projects(Area::Api), Some(vec![THERE]));
}

#[test]
fn a_registry_token_is_for_the_registry_only() {
    let pusher = limited(member(Role::Admin), &[Scope::RegistryWrite], None);
    assert_eq!(pusher.check(Area::Registry, HERE, Role::Maintainer), Ok(()));
    assert_eq!(pusher.check(Area::Registry, HERE, Role::Admin), Err(Denied::Scope { needed: Role::Admin }));
    assert_eq!(pusher.check(Area::Api, HERE, Role::Viewer), Err(Denied::Scope { needed: Role::Viewer }));
    assert_eq!(pusher.visible_projects(Area::Api), Some(Vec::new()));
    assert_eq!(pusher.visible_projects(Area::Registry), Some(vec![HERE, THERE]));
    let puller = limited(member(Role::Admin), &[Scope::RegistryRead], None);
    assert_eq!(puller.check(Area::Registry, HERE, Role::Maintainer), Err(Denied::Scope { needed: Role::Maintainer }));
}

fn any_rights() -> impl Strategy<Value = Rights> {
    let role = proptest::sample::select(Role::ALL.to_vec());
    let project = proptest::sample::select(vec![HERE, THERE, ELSEWHERE]);
    let scopes = proptest::collection::vec(proptest::sample::select(Scope::ALL.to_vec()), 0..3);
    let roles = proptest::collection::btree_map(project.clone(), role, 0..3);
    let limit = proptest::option::of((scopes, proptest::option::of(project)));
    (any::<bool>(), roles, limit).prop_map(|(is_admin, roles, limit)| Rights {
        is_admin,
        roles,
        limit: limit.map(|(scopes, project)| TokenLimit { scopes, project }),
    })
}

proptest! {
    /// The answers never disagree: what `role` says is what `check` lets through, a lesser role is never refused what a
    /// greater one may, a list shows what may be looked at, and no token may do what its user may not.
    #[test]
    fn the_answers_agree(rights in any_rights(), registry in any::<bool>()) {
        let area = if registry { Area::Registry } else { Area::Api };
        let user = Rights { limit: None, ..rights.clone() };
        let visible = rights.visible_projects(area);
        for project in [HERE, THERE, ELSEWHERE] {
            let role = rights.role(area, project);
            for needed in Role::ALL {
                let answer = rights.check(area, project, needed);
                prop_assert_eq!(answer.is_ok(), role >= Some(needed));
                prop_assert!(answer.is_err() || user.check(area, project, needed).is_ok());
            }
            prop_assert_eq!(visible.as_ref().is_none_or(|list| list.contains(&project)), role.is_some());
        }
        let role = rights.organization_role(area);
        for needed in Role::ALL {
            let answer = rights.check_organization(area, needed);
            prop_assert_eq!(answer.is_ok(), role >= Some(needed));
            prop_assert!(answer.is_err() || user.check_organization(area, needed).is_ok());
        }
    }
}
